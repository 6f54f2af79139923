"""Requests to a model, each with a key under which its reply is found: keyed requests in, keyed replies out.

Nothing here is heavy to import, so that a task's file may have it at its top.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...contracts.request import K, R, Request
from ...contracts.sample import Query, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from ...runtime.run import Run
    from ..contract.vlm import VLM


DECIMALS = 5
"""Of log-probabilities: in float32 other batches alone change the sixth."""


@dataclass(frozen=True)
class Ask(Request[K, str]):
    """A query to be answered in words: greedily, or drawn as ``sampling`` says."""

    key: K
    query: Query
    max_new_tokens: int
    sampling: Sampling | None = None

    @property
    def length(self) -> int:
        """That of the question."""
        return len(self.query.text)

    @property
    def kind(self) -> tuple[Hashable, ...]:
        """How long the answers may be, and whether they are drawn."""
        return "drawn answers" if self.sampling else "answers", self.max_new_tokens

    @property
    def text(self) -> tuple[str, ...]:
        """How it is drawn, with all that the draws follow from."""
        return (repr((self.sampling, [image.name for image in self.query.images])),) if self.sampling else ()

    @classmethod
    def replies(cls, model: "VLM", batch: Sequence[Request[K, str]]) -> list[str]:
        """What the model says."""
        _, max_new_tokens = batch[0].kind
        prepared = model.prepare([each.query for each in batch])
        how: dict[str, Any] = {"max_new_tokens": max_new_tokens, "shared": True}
        if any(rules := [each.sampling if isinstance(each, Ask) else None for each in batch]):
            how["sampling"] = rules
        return model.generate(prepared, **how)


@dataclass(frozen=True)
class _Weighing(Request[K, R]):
    """An answer to a query, of which something is wanted that the model makes of its tokens."""

    key: K
    query: Query
    answer: str

    @property
    def length(self) -> int:
        """That of question and answer."""
        return len(self.query.text) + len(self.answer)

    @property
    def text(self) -> tuple[str, ...]:
        """The answer."""
        return (self.answer,)


@dataclass(frozen=True)
class Weigh(_Weighing[K, list[float]]):
    """An answer whose likelihood is wanted: natural-log probabilities of its tokens, the end token included.

    They have `DECIMALS` decimals, so that samples hold no digits which no other machine finds again.
    """

    @property
    def kind(self) -> tuple[Hashable, ...]:
        """All likelihoods are of one kind."""
        return ("log-probabilities",)

    @classmethod
    def replies(cls, model: "VLM", batch: Sequence[Request[K, list[float]]]) -> list[list[float]]:
        """The log-probabilities; raises `ModelError` for the first query with one that is not finite."""
        from ..contract.decoding import not_finite

        prepared = model.prepare([each.query for each in batch], [text for each in batch for text in each.text])
        found = [*map(_shortest, model.answer_log_probabilities(prepared, shared=True))]
        for each, values in zip(batch, found, strict=True):
            if not all(map(math.isfinite, values)):
                raise not_finite(each.query)
        return found

    def told(self, reply: list[float]) -> list[float]:
        """Rounded."""
        return [round(each, DECIMALS) + 0.0 for each in reply]  # -0.0 + 0.0 is 0.0


@dataclass(frozen=True)
class WeighTokens(_Weighing[K, list[list[float]]]):
    """An answer of whose tokens more is wanted than their likelihood: for each, the end token included, four numbers.

    They are its natural-log probability; 1 if it is the likeliest, else 0; mean and standard deviation of what the log
    probability of a token drawn in its place would be (`TokenFacts`). All have `DECIMALS` decimals.
    """

    @property
    def kind(self) -> tuple[Hashable, ...]:
        """All are of one kind."""
        return ("token facts",)

    @classmethod
    def replies(cls, model: "VLM", batch: Sequence[Request[K, list[list[float]]]]) -> list[list[list[float]]]:
        """The facts; raises `ModelError` for the first query with one that is not finite."""
        from ..contract.decoding import not_finite

        prepared = model.prepare([each.query for each in batch], [text for each in batch for text in each.text])
        found = []
        for each, facts in zip(batch, model.answer_token_facts(prepared, shared=True), strict=True):
            columns = (facts.log_probability, facts.is_argmax.float(), facts.mean, facts.std)
            found.append([list(of) for of in zip(*map(_shortest, columns), strict=True)])
            if not all(map(math.isfinite, (value for of in found[-1] for value in of))):
                raise not_finite(each.query)
        return found

    def told(self, reply: list[list[float]]) -> list[list[float]]:
        """Rounded."""
        return [[round(value, DECIMALS) + 0.0 for value in of] for of in reply]


def _shortest(values: "Tensor") -> list[float]:
    """The numbers as the shortest decimals that name them in their own precision, which halves what is written down."""
    import torch

    exact = values if values.dtype == torch.float64 else values.float()
    return [float(text) for text in exact.numpy(force=True).astype(str)]


def ask(
    model: "VLM",
    requests: Iterable[Request[K, R]],
    run: "Run",
    *,
    batch_size: int | None = None,
    let_go: bool = False,
    what: str = "asking",
) -> dict[K, R]:
    """The reply to every request under its key, in the order of the requests.

    Requests of several kinds may come together; each kind is asked by itself. ``batch_size`` is the most that are
    asked at a time; None: as many as memory is found to hold. With ``let_go`` no picture is kept once it was asked
    about. ``what`` names this asking in the progress bar and in the row. Raises `PluginError` where two requests have
    one key.
    """
    from .asking import asked

    return asked(model, [*requests], run, batch_size=batch_size, let_go=let_go, what=what)
