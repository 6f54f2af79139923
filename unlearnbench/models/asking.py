"""Asking a model many questions: in batches by picture, with a progress bar, each batch written down at once."""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..training import distributed
from ..training.run import Run
from .vlm import VLM, Query

S = TypeVar("S")
T = TypeVar("T")


def answers(
    model: VLM,
    queries: Sequence[Query],
    run: Run,
    *,
    max_new_tokens: int,
    batch_size: int,
    let_go: bool = False,
    what: str = "answering",
) -> list[str]:
    """Greedy answers in the order of ``queries``; with ``let_go`` no picture is kept once it was asked about."""

    def ask(part: Sequence[Query]) -> list[str]:
        return model.generate(model.prepare(part), max_new_tokens=max_new_tokens, shared=True)

    said, in_memory = [""] * len(queries), _InMemory(ask)
    lengths, pictures = [len(query.text) for query in queries], [query.image for query in queries]
    with run.progress.bar(what, len(queries)) as bar:
        for rows in distributed.shared_out(_batches(lengths, batch_size, pictures)):
            asked = [queries[row] for row in rows]

            key = ["answers", max_new_tokens, *map(_content, asked)]
            texts = run.journal.once(key, partial(in_memory, asked))
            for row, text in zip(rows, texts, strict=True):
                said[row] = text
            if let_go:  # the last one may go on in the next batch
                model.let_go({query.image for query in asked} - {asked[-1].image})
            bar.advance(len(rows) * distributed.processes())
    return _everyones(said, "")


@torch.no_grad()
def log_probabilities(
    model: VLM, pairs: Sequence[tuple[Query, str]], run: Run, *, batch_size: int, what: str = "scoring answers"
) -> list[list[float]]:
    """Natural-log probabilities of every answer's tokens, end token included, in the order of ``pairs``."""

    def weigh(part: Sequence[tuple[Query, str]]) -> list[list[float]]:
        queries, texts = zip(*part, strict=True)
        batch = model.prepare(queries, texts)
        return [*map(_shortest, model.answer_log_probabilities(batch, shared=True))]

    found: list[list[float]] = [[]] * len(pairs)
    in_memory = _InMemory(weigh)
    with run.progress.bar(what, len(pairs)) as bar:
        lengths = [len(query.text) + len(answer) for query, answer in pairs]
        for rows in distributed.shared_out(_batches(lengths, batch_size, [query.image for query, _ in pairs])):
            chosen = [pairs[row] for row in rows]

            asked = ["log-probabilities", *(_content(query) for query, _ in chosen), *(text for _, text in chosen)]
            for row, values in zip(rows, run.journal.once(asked, partial(in_memory, chosen)), strict=True):
                found[row] = values
            bar.advance(len(rows) * distributed.processes())
    return _everyones(found, [])


class _InMemory(Generic[S, T]):
    """Asks in parts as large as memory holds: halved where it runs out, and no larger from then on."""

    def __init__(self, ask: Callable[[Sequence[S]], list[T]]) -> None:
        self.ask = ask
        self.most: int | None = None

    def __call__(self, asked: Sequence[S]) -> list[T]:
        """What is said to all of them; raises OutOfMemoryError where memory does not hold a single one."""
        size = min(len(asked), self.most or len(asked))
        try:
            first = self.ask(asked[:size])
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            first = None
        if first is None:  # outside of the handler, whose exception holds on to the memory of the failed attempt
            torch.cuda.empty_cache()
            self.most = (size + 1) // 2
            return self(asked)
        return first if size == len(asked) else [*first, *self(asked[size:])]


def _shortest(values: Tensor) -> list[float]:
    """The numbers as the shortest decimals that name them in their own precision, which halves files of samples."""
    exact = values if values.dtype == torch.float64 else values.float()
    return [float(text) for text in exact.numpy(force=True).astype(str)]


def _everyones(mine: list[T], nothing: T) -> list[T]:
    """What all processes found: each has answered some of the batches and ``nothing`` to the rest."""
    return [next((one for one in each if one != nothing), nothing) for each in zip(*distributed.gathered(mine))]  # noqa: B905


def _batches(lengths: Sequence[int], size: int, pictures: Sequence[Path]) -> list[list[int]]:
    """Indices in batches, longest first, so that memory tends to run out at once or not at all.

    Those of one picture stand together, placed by the longest of them: the model reads what they share once, and can
    let the picture go, however many pictures there are.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    first = {picture: place for place, picture in reversed([*enumerate(pictures[row] for row in order)])}
    order.sort(key=lambda row: first[pictures[row]])
    return [order[start : start + size] for start in range(0, len(order), size)]


def _content(query: Query) -> list[str]:
    """What a query asks, wherever its picture's file lies."""
    state = query.image.stat() if query.image.is_file() else None
    return [_sha256(query.image, state.st_mtime_ns if state else 0), query.text]


@lru_cache(maxsize=1 << 16)
def _sha256(image: Path, changed: int) -> str:
    """The digest of a picture's file as it is since it was ``changed``; of none, if asking will fail anyway."""
    try:
        with image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
