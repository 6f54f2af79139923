"""Asking a model many questions: sorted by length, in batches, with a progress bar."""

from collections.abc import Sequence

import torch

from ..training.run import Run
from .vlm import VLM, Query


def answers(
    model: VLM, queries: Sequence[Query], run: Run, *, max_new_tokens: int, batch_size: int, what: str = "answering"
) -> list[str]:
    """Greedy answers in the order of ``queries``."""
    said = [""] * len(queries)
    with run.progress.bar(what, len(queries)) as bar:
        for rows in _batches([len(query.text) for query in queries], batch_size):
            batch = model.prepare([queries[row] for row in rows])
            for row, text in zip(rows, model.generate(batch, max_new_tokens=max_new_tokens), strict=True):
                said[row] = text
            bar.advance(len(rows))
    return said


@torch.no_grad()
def log_probabilities(
    model: VLM, pairs: Sequence[tuple[Query, str]], run: Run, *, batch_size: int, what: str = "scoring answers"
) -> list[list[float]]:
    """Natural-log probabilities of every answer's tokens, end token included, in the order of ``pairs``."""
    found: list[list[float]] = [[]] * len(pairs)
    with run.progress.bar(what, len(pairs)) as bar:
        for rows in _batches([len(query.text) + len(answer) for query, answer in pairs], batch_size):
            batch = model.prepare([pairs[row][0] for row in rows], [pairs[row][1] for row in rows])
            for row, values in zip(rows, model.answer_log_probabilities(batch), strict=True):
                found[row] = values.tolist()
            bar.advance(len(rows))
    return found


def _batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in batches of alike length, longest first, so that memory runs out at once or not at all."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    return [order[start : start + size] for start in range(0, len(order), size)]
