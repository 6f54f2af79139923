"""Asking a model many questions: in batches by picture, with a progress bar, each batch written down at once."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Generic

import torch

from ...contracts.request import K, R, Request
from ...contracts.sample import Query, begun
from ...errors import PluginError
from ...runtime import distributed
from ...runtime.run import Run
from ..contract.vlm import VLM
from .batch_size import FEW, MANY, Held

_log = logging.getLogger(__name__)


@torch.no_grad()
def asked(
    model: VLM, requests: Sequence[Request[K, R]], run: Run, *, batch_size: int | None, let_go: bool, what: str
) -> dict[K, R]:
    """What `unlearnbench.models.asking.requests.ask` promises."""
    _refuse_twins(requests, what)
    kinds: dict[Hashable, list[Request[K, R]]] = {}
    for each in requests:
        kinds.setdefault((type(each), each.kind), []).append(each)
    said: dict[K, R] = {}
    for alike in kinds.values():
        with model.unchanged():
            said |= _Asking(model, alike, let_go).all(run, batch_size, what)
    replies = {each.key: each.told(said[each.key]) for each in requests}
    _tell_empty([*replies.values()], run, what)
    return replies


def _refuse_twins(requests: Sequence[Request[K, R]], what: str) -> None:
    key, times = Counter(each.key for each in requests).most_common(1)[0] if requests else (None, 0)
    if times > 1:
        raise PluginError(f"{what}: {times} requests have the key {key!r}; give each one of its own")


def _tell_empty(said: Sequence[object], run: Run, what: str) -> None:
    """Note how many answers have no text: they score as forgotten, and a reader should know why."""
    answers = [each for each in said if isinstance(each, str)]
    if empty := sum(not text for text in answers):
        run.notes.setdefault("empty_answers", {})[what] = empty
        if empty == len(answers):
            _log.warning("%s: all %d answers are empty", what, empty)


@dataclass
class _Asking(Generic[K, R]):
    """Requests of one kind, and what is asked to reply to them."""

    model: VLM
    requests: Sequence[Request[K, R]]
    let_go: bool

    def __post_init__(self) -> None:
        self._seen = frozenset[Path]()

    def all(self, run: Run, batch_size: int | None, what: str) -> dict[K, R]:
        """The replies by key; processes share out the batches, and the journal remembers them."""
        pictures = [each.query.images for each in self.requests]
        order = by_picture([each.length for each in self.requests], pictures)
        found: list[R | None] = [None] * len(self.requests)
        in_memory, largest = Held(self._replies, self.model.device), 0
        with run.progress.bar(what, len(self.requests)) as bar:

            def answer(rows: Sequence[int], known: Callable[[list[Request[K, R]]], list[R]]) -> None:
                nonlocal largest
                largest = max(largest, len(rows))
                for row, said in zip(rows, known([self.requests[row] for row in rows]), strict=True):
                    found[row] = said
                bar.advance(len(rows) * distributed.processes())

            def once(part: list[Request[K, R]]) -> list[R]:
                return run.journal.once(_question(part), partial(in_memory, part))  # type: ignore[no-any-return]

            if batch_size is None:
                batch_size, order = self._tried(run, order, in_memory, answer)
            mine = distributed.shared_out(batches(order, batch_size, pictures))
            self.model.look_ahead(chain.from_iterable(pictures[row] for rows in mine for row in rows))
            for rows in mine:
                answer(rows, once)
            self.model.look_ahead(())  # what was read for questions whose answers were known may go
        if self.let_go:
            self.model.let_go(self._seen)
        at_a_time = run.notes.setdefault("asked_at_a_time", {})
        at_a_time[what] = max(min(largest, in_memory.most or largest), at_a_time.get(what, 0))
        return {each.key: said for each, said in zip(self.requests, _everyones(found), strict=True)}

    def _tried(
        self, run: Run, order: list[int], in_memory: "Held[Request[K, R], R]", answer: Callable[..., None]
    ) -> tuple[int, list[int]]:
        """Ask a few, a batch a process, to see how many memory holds: that number, and the rows that are left."""
        first = batches(order, FEW, [each.query.images for each in self.requests])[: distributed.processes()]
        sizes = [MANY]

        def once(part: list[Request[K, R]]) -> list[R]:
            def tried() -> dict[str, Any]:
                return {"said": in_memory(part), "size": in_memory.size()}

            known = run.journal.once(["first", *_question(part)], tried)
            sizes.append(known["size"])
            return known["said"]  # type: ignore[no-any-return]

        for rows in distributed.shared_out(first):
            answer(rows, once)
        return min(min(each) for each in distributed.gathered(sizes)), order[sum(map(len, first)) :]

    def _replies(self, part: Sequence[Request[K, R]]) -> list[R]:
        """The model's replies; a picture with many questions may go on from batch to batch, any other is let go."""
        before, self._seen = self._seen, frozenset(chain.from_iterable(each.query.images for each in part))
        if self.let_go:
            self.model.let_go(before - self._seen)
        return type(part[0]).replies(self.model, part)


def _question(part: Sequence[Request[K, R]]) -> list[object]:
    """What the journal knows a batch by; requests with unequally many texts keep theirs apart."""
    texts = [each.text for each in part]
    told = chain.from_iterable(texts) if len({*map(len, texts)}) == 1 else map(list, texts)
    return [*part[0].kind, *(_content(each.query) for each in part), *told]


def _everyones(mine: Sequence[R | None]) -> list[R]:
    """What all processes found: each has replies to some of the batches and None to the rest."""
    merged = [next((one for one in each if one is not None), None) for each in zip(*distributed.gathered(mine))]  # noqa: B905
    found = [each for each in merged if each is not None]
    assert len(found) == len(mine), "a request went without a reply"
    return found


def by_picture(lengths: Sequence[int], pictures: Sequence[Hashable]) -> list[int]:
    """Indices, longest first, so that memory tends to run out at once or not at all.

    Those of the same ``pictures`` (one, several or none) stand together, placed by the longest of them: the model
    reads what they share once, and can let the pictures go, however many there are.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    first = {picture: place for place, picture in reversed([*enumerate(pictures[row] for row in order)])}
    return sorted(order, key=lambda row: first[pictures[row]])


def batches(order: Sequence[int], size: int, pictures: Sequence[Hashable]) -> list[list[int]]:
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


def _content(query: Query) -> list[object]:
    """What a query asks, wherever its pictures' files lie."""
    return [*map(_digest, query.images), query.text, *([[start]] if (start := begun(query)) else [])]


def _digest(image: Path) -> str:
    """The digest of a picture's file; of none, if asking will fail anyway."""
    with suppress(OSError):
        return _sha256(image, image.stat().st_mtime_ns)
    return ""


@lru_cache(maxsize=1 << 16)
def _sha256(image: Path, changed: int) -> str:
    """The digest of a picture's file as it is since it was ``changed``."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
