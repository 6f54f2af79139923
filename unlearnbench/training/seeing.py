"""Seeing a training's pictures before it begins: each is encoded once, as the tower is frozen, the next read ahead."""

import time
from collections.abc import Iterable
from pathlib import Path

from ..models.contract.vlm import VLM
from ..runtime.run import Run


def see_all(model: VLM, paths: Iterable[Path], run: Run) -> None:
    """Encode every distinct picture, as far as they can be kept; it counts as a part of training's seconds."""
    distinct = [*dict.fromkeys(paths)]
    start = time.perf_counter()
    model.look_ahead(distinct)
    with run.progress.bar("seeing pictures", len(distinct)) as bar:
        for path in distinct:
            model.see(path)
            bar.advance()
            if not model.pictures.lossless:  # the next would only push out the last
                break
    model.look_ahead([])
    run.cost["train_seconds"] = run.cost.get("train_seconds", 0.0) + time.perf_counter() - start
