"""Asking a model many questions: in batches of alike length, with a progress bar, each batch written down at once."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..training import distributed
from ..training.run import Run
from .vlm import VLM, Query

T = TypeVar("T")


def answers(
    model: VLM,
    queries: Sequence[Query],
    run: Run,
    *,
    max_new_tokens: int,
    batch_size: int,
    by_picture: bool = False,
    what: str = "answering",
) -> list[str]:
    """Greedy answers in the order of ``queries``; ``by_picture`` for many pictures with few questions each."""
    said = [""] * len(queries)
    lengths, pictures = [len(query.text) for query in queries], [query.image for query in queries if by_picture]
    with run.progress.bar(what, len(queries)) as bar:
        for rows in distributed.shared_out(_batches(lengths, batch_size, pictures)):
            asked = [queries[row] for row in rows]

            def generate(asked: Sequence[Query] = asked) -> list[str]:
                return model.generate(model.prepare(asked), max_new_tokens=max_new_tokens)

            texts = run.journal.once(["answers", max_new_tokens, *map(_content, asked)], generate)
            for row, text in zip(rows, texts, strict=True):
                said[row] = text
            if by_picture:  # the last one may go on in the next batch
                model.let_go({query.image for query in asked} - {asked[-1].image})
            bar.advance(len(rows) * distributed.processes())
    return _everyones(said, "")


@torch.no_grad()
def log_probabilities(
    model: VLM, pairs: Sequence[tuple[Query, str]], run: Run, *, batch_size: int, what: str = "scoring answers"
) -> list[list[float]]:
    """Natural-log probabilities of every answer's tokens, end token included, in the order of ``pairs``."""
    found: list[list[float]] = [[]] * len(pairs)
    with run.progress.bar(what, len(pairs)) as bar:
        lengths = [len(query.text) + len(answer) for query, answer in pairs]
        for rows in distributed.shared_out(_batches(lengths, batch_size)):
            queries, texts = zip(*(pairs[row] for row in rows), strict=True)

            def weigh(queries: Sequence[Query] = queries, texts: Sequence[str] = texts) -> list[list[float]]:
                return [_shortest(values) for values in model.answer_log_probabilities(model.prepare(queries, texts))]

            asked = ["log-probabilities", *map(_content, queries), *texts]
            for row, values in zip(rows, run.journal.once(asked, weigh), strict=True):
                found[row] = values
            bar.advance(len(rows) * distributed.processes())
    return _everyones(found, [])


def _shortest(values: Tensor) -> list[float]:
    """The numbers as the shortest decimals that name them in their own precision, which halves files of samples."""
    exact = values if values.dtype == torch.float64 else values.float()
    return [float(text) for text in exact.numpy(force=True).astype(str)]


def _everyones(mine: list[T], nothing: T) -> list[T]:
    """What all processes found: each has answered some of the batches and ``nothing`` to the rest."""
    return [next((one for one in each if one != nothing), nothing) for each in zip(*distributed.gathered(mine))]  # noqa: B905


def _batches(lengths: Sequence[int], size: int, pictures: Sequence[Path] = ()) -> list[list[int]]:
    """Indices in batches of alike length, longest first, so that memory runs out at once or not at all.

    With ``pictures``, those of one picture stand together, placed by the longest of them: it is seen once and can be
    let go, however many pictures there are.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    if pictures:
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
