"""What is wanted of a model, under a key by which the reply is found."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from .sample import Query

if TYPE_CHECKING:
    from ..models.contract.vlm import VLM

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class Request(ABC, Generic[K, R]):
    """What is wanted of a model about one query; its kind decides what a reply is.

    ``key`` is the asker's own, one for every request. A reply is of JSON's types, and never None.
    """

    key: K
    query: Query

    @property
    @abstractmethod
    def length(self) -> int:
        """Characters of text: the longest are asked first."""

    @property
    @abstractmethod
    def kind(self) -> tuple[Hashable, ...]:
        """What requests must share to be asked together, of JSON's types: a name, and options as of decoding."""

    @property
    def text(self) -> tuple[str, ...]:
        """What is told beside the query."""
        return ()

    @classmethod
    @abstractmethod
    def replies(cls, model: "VLM", batch: Sequence["Request[K, R]"]) -> list[R]:
        """What ``model`` replies to a batch of requests of one ``kind``, in their order."""

    def told(self, reply: R) -> R:
        """A reply as the asker gets it; what is written down for the next run is what `replies` gave."""
        return reply
