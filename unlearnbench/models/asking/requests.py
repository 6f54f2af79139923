"""Asking a model many questions: in batches by picture, with a progress bar, each batch written down at once."""

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ...contracts.sample import Query
from ...runtime import distributed
from ...runtime.run import Run
from ..contract.finite import not_finite
from ..contract.vlm import VLM
from .batch_size import FEW, MANY, Held

S = TypeVar("S")
T = TypeVar("T")

_log = logging.getLogger(__name__)


def answers(
    model: VLM,
    queries: Sequence[Query],
    run: Run,
    *,
    max_new_tokens: int,
    batch_size: int | None = None,
    let_go: bool = False,
    what: str = "answering",
) -> list[str]:
    """Greedy answers in the order of ``queries``; with ``let_go`` no picture is kept once it was asked about.

    ``batch_size`` is the most that are asked at a time; None: as many as memory is found to hold.
    """
    seen: set[Path] = set()

    def ask(part: Sequence[Query]) -> list[str]:
        nonlocal seen
        batch, before, seen = model.prepare(part), seen, {query.images[0] for query in part}
        if let_go:  # a picture with many questions may go on from batch to batch
            model.let_go(before - seen)
        return model.generate(batch, max_new_tokens=max_new_tokens, shared=True)

    def question(part: Sequence[Query]) -> list[object]:
        return ["answers", max_new_tokens, *map(_content, part)]

    lengths, pictures = [len(query.text) for query in queries], [query.images[0] for query in queries]
    said = _Asking(model, queries, lengths, pictures, ask, question, "").all(run, batch_size, what)
    if let_go:
        model.let_go(seen)
    _tell_empty(said, run, what)
    return said


def _tell_empty(said: Sequence[str], run: Run, what: str) -> None:
    """Note how many answers have no text: they score as forgotten, and a reader should know why."""
    if empty := sum(not text for text in said):
        run.notes.setdefault("empty_answers", {})[what] = empty
        if empty == len(said):
            _log.warning("%s: all %d answers are empty", what, empty)


@torch.no_grad()
def log_probabilities(
    model: VLM,
    pairs: Sequence[tuple[Query, str]],
    run: Run,
    *,
    batch_size: int | None = None,
    what: str = "scoring answers",
) -> list[list[float]]:
    """Natural-log probabilities of every answer's tokens, end token included, in the order of ``pairs``."""

    def weigh(part: Sequence[tuple[Query, str]]) -> list[list[float]]:
        queries, texts = zip(*part, strict=True)
        batch = model.prepare(queries, texts)
        found = [*map(_shortest, model.answer_log_probabilities(batch, shared=True))]
        for query, values in zip(queries, found, strict=True):
            if not all(map(math.isfinite, values)):
                raise not_finite(query)
        return found

    def question(part: Sequence[tuple[Query, str]]) -> list[object]:
        return ["log-probabilities", *(_content(query) for query, _ in part), *(text for _, text in part)]

    lengths, pictures = [len(query.text) + len(text) for query, text in pairs], [query.images[0] for query, _ in pairs]
    return _Asking(model, pairs, lengths, pictures, weigh, question, list[float]()).all(run, batch_size, what)


@dataclass
class _Asking(Generic[S, T]):
    """Items to ask about, with their lengths and pictures, and the way to ask; ``nothing`` is no possible answer."""

    model: VLM
    items: Sequence[S]
    lengths: Sequence[int]
    pictures: Sequence[Path]
    ask: Callable[[Sequence[S]], list[T]]
    question: Callable[[Sequence[S]], list[object]]
    nothing: T

    def all(self, run: Run, batch_size: int | None, what: str) -> list[T]:
        """What is said to each item; processes share out the batches, and the journal remembers them."""
        found, order = [self.nothing] * len(self.items), by_picture(self.lengths, self.pictures)
        in_memory, largest = Held(self.ask, self.model.device), 0
        with run.progress.bar(what, len(self.items)) as bar:

            def answer(rows: Sequence[int], known: Callable[[list[S]], list[T]]) -> None:
                nonlocal largest
                largest = max(largest, len(rows))
                for row, said in zip(rows, known([self.items[row] for row in rows]), strict=True):
                    found[row] = said
                bar.advance(len(rows) * distributed.processes())

            def asked(part: list[S]) -> list[T]:
                return run.journal.once(self.question(part), partial(in_memory, part))  # type: ignore[no-any-return]

            if batch_size is None:
                batch_size, order = self._tried(run, order, in_memory, answer)
            mine = distributed.shared_out(batches(order, batch_size, self.pictures))
            self.model.look_ahead(self.pictures[row] for rows in mine for row in rows)
            for rows in mine:
                answer(rows, asked)
            self.model.look_ahead(())  # what was read for questions whose answers were known may go
        run.notes.setdefault("asked_at_a_time", {})[what] = min(largest, in_memory.most or largest)
        return _everyones(found, self.nothing)

    def _tried(
        self, run: Run, order: list[int], in_memory: "Held[S, T]", answer: Callable[..., None]
    ) -> tuple[int, list[int]]:
        """Ask a few, a batch a process, to see how many memory holds: that number, and the rows that are left."""
        first = batches(order, FEW, self.pictures)[: distributed.processes()]
        sizes = [MANY]

        def asked(part: list[S]) -> list[T]:
            def tried() -> dict[str, Any]:
                return {"said": in_memory(part), "size": in_memory.size()}

            known = run.journal.once(["first", *self.question(part)], tried)
            sizes.append(known["size"])
            return known["said"]  # type: ignore[no-any-return]

        for rows in distributed.shared_out(first):
            answer(rows, asked)
        return min(min(each) for each in distributed.gathered(sizes)), order[sum(map(len, first)) :]


def _shortest(values: Tensor) -> list[float]:
    """The numbers as the shortest decimals that name them in their own precision, which halves files of samples."""
    exact = values if values.dtype == torch.float64 else values.float()
    return [float(text) for text in exact.numpy(force=True).astype(str)]


def _everyones(mine: list[T], nothing: T) -> list[T]:
    """What all processes found: each has answered some of the batches and ``nothing`` to the rest."""
    return [next((one for one in each if one != nothing), nothing) for each in zip(*distributed.gathered(mine))]  # noqa: B905


def by_picture(lengths: Sequence[int], pictures: Sequence[Path]) -> list[int]:
    """Indices, longest first, so that memory tends to run out at once or not at all.

    Those of one picture stand together, placed by the longest of them: the model reads what they share once, and can
    let the picture go, however many pictures there are.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    first = {picture: place for place, picture in reversed([*enumerate(pictures[row] for row in order)])}
    return sorted(order, key=lambda row: first[pictures[row]])


def batches(order: Sequence[int], size: int, pictures: Sequence[Path]) -> list[list[int]]:
    """Rows, in their ``order``, in batches of ``size`` at the most that cut up no picture unless it has more rows."""
    made: list[list[int]] = []
    for _, group in groupby(order, key=lambda row: pictures[row]):
        rows = [*group]
        each = -(-len(rows) // -(-len(rows) // size))  # parts of about one size
        for part in (rows[start : start + each] for start in range(0, len(rows), each)):
            if not made or len(made[-1]) + len(part) > size:
                made.append([])
            made[-1] += part
    return made


def _content(query: Query) -> list[str]:
    """What a query asks, wherever its picture's file lies."""
    state = query.images[0].stat() if query.images[0].is_file() else None
    return [_sha256(query.images[0], state.st_mtime_ns if state else 0), query.text]


@lru_cache(maxsize=1 << 16)
def _sha256(image: Path, changed: int) -> str:
    """The digest of a picture's file as it is since it was ``changed``; of none, if asking will fail anyway."""
    try:
        with image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
