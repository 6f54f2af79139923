"""What a model is asked at once, and edits of its visual tokens before the language model sees them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ...contracts.sample import Query
from ..pictures.cache import Picture
from .explanation import Explanation


@dataclass
class Batch:
    """Prompts, with or without answers, ready for the language model; all tensors [B, L].

    ``pictures`` are those of all rows, one row's after the other's; ``row_of`` says which row each belongs to. A row
    may have none. Whatever else is said of pictures, such as their visual tokens, is a list parallel to this one.
    ``image_mask`` marks the places of visual tokens, ``question_mask`` the question's own tokens (no template, no
    answer), ``answer_mask`` the answer's tokens with its end token.
    """

    queries: list[Query]
    pictures: list[Picture]
    row_of: list[int]
    input_ids: Tensor
    attention_mask: Tensor
    image_mask: Tensor
    question_mask: Tensor
    answer_mask: Tensor

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def images(self) -> list[Path]:
        """The file of each picture."""
        return [path for query in self.queries for path in query.images]

    @property
    def by_row(self) -> list[list[int]]:
        """The places in ``pictures`` of each row's own."""
        places: list[list[int]] = [[] for _ in self.queries]
        for place, row in enumerate(self.row_of):
            places[row].append(place)
        return places

    def places(self, rows: Sequence[int]) -> list[int]:
        """Where the pictures of some rows are among all, row after row: those that `take` of these rows leaves."""
        own = self.by_row
        return [place for row in rows for place in own[row]]

    def take(self, rows: Sequence[int]) -> "Batch":
        """The batch of some of its rows, padding kept."""
        index = list(rows)
        return Batch(
            queries=[self.queries[row] for row in index],
            pictures=[self.pictures[place] for place in self.places(index)],
            row_of=[new for new, row in enumerate(index) for _ in self.queries[row].images],
            input_ids=self.input_ids[index],
            attention_mask=self.attention_mask[index],
            image_mask=self.image_mask[index],
            question_mask=self.question_mask[index],
            answer_mask=self.answer_mask[index],
        )


VisualEdit = Callable[[Batch, list[Tensor]], list[Tensor]]
"""Replaces the visual tokens of a batch, of which there are some: those of each picture in, the same shapes out.

Of a `VLM.layered` model a picture's tokens may come out as [layers, N_v, d], one set for each attention layer. One with
a method ``explain``, which takes the same, says by it what it did to each picture (`Explanation`).
"""


class Stacked:
    """Edits of visual tokens one after the other: each is given what those before it have made."""

    def __init__(self, *edits: VisualEdit) -> None:
        self.edits = edits

    def __call__(self, batch: Batch, visual: list[Tensor]) -> list[Tensor]:
        """What the last one makes."""
        for edit in self.edits:
            visual = edit(batch, visual)
        return visual

    def explain(self, batch: Batch, visual: list[Tensor]) -> list[Explanation] | None:
        """What the last one does that can say it."""
        told = None
        for edit in self.edits:
            if explain := getattr(edit, "explain", None):
                told = explain(batch, visual)
            visual = edit(batch, visual)
        return told

    def refresh(self) -> None:
        """Tell those that keep something of the model that it has changed."""
        for edit in self.edits:
            if renew := getattr(edit, "refresh", None):
                renew()


def by_sample(batch: Batch, values: Tensor) -> tuple[Tensor, ...]:
    """Values of all answer tokens [answer tokens, ..] as one tensor a sample."""
    return tuple(values.split(batch.answer_mask.sum(1).tolist()))  # type: ignore[no-untyped-call]
