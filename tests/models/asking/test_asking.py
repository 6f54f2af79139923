"""Asking many questions: the order kept whatever the batches, and as many at a time as memory holds."""

import json
from collections.abc import Callable
from math import copysign
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.models.in_order import answers, log_probabilities
from unlearnbench.contracts.request import Request
from unlearnbench.contracts.sample import Asked, Sample, Sampling
from unlearnbench.engine.journal import JournalFile
from unlearnbench.errors import PluginError
from unlearnbench.models.asking import batch_size as held
from unlearnbench.models.asking.asking import batches, by_picture
from unlearnbench.models.asking.batch_size import FEW, MANY, Held
from unlearnbench.models.asking.requests import Ask, Weigh, ask
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.runtime.run import Run


class Small:
    """The model on a machine that holds a few rows at a time; ``sizes`` are those of the attempts."""

    def __init__(self, model: VLM, most: int) -> None:
        self.model, self.most, self.device = model, most, model.device
        self.sizes: list[int] = []
        self.ahead: list[Path] = []

    def prepare(self, *given: Any) -> Any:
        return self.model.prepare(*given)

    def look_ahead(self, paths: Any) -> None:
        self.ahead = [*dict.fromkeys(paths)]

    def let_go(self, paths: Any) -> None:
        self.model.let_go(paths)

    def unchanged(self) -> Any:
        return self.model.unchanged()

    def _attempt(self, batch: Any) -> None:
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    def generate(self, batch: Any, **options: Any) -> Any:
        self._attempt(batch)
        return self.model.generate(batch, **options)

    def answer_log_probabilities(self, batch: Any, **options: Any) -> Any:
        self._attempt(batch)
        return self.model.answer_log_probabilities(batch, **options)


def test_batches_that_memory_does_not_hold_are_halved(tiny: VLM, asked: list[Sample]) -> None:
    pairs = [(sample, sample.answer) for sample in asked]
    wanted = answers(tiny, asked, Run(), max_new_tokens=8, batch_size=13)
    weighed = log_probabilities(tiny, pairs, Run(), batch_size=13)
    small: Any = Small(tiny, 4)
    assert answers(small, asked, Run(), max_new_tokens=8, batch_size=13) == wanted
    assert small.sizes == [13, 7, 4, 4, 4, 1]  # tried again no larger than what was held
    for one, other in zip(log_probabilities(small, pairs, Run(), batch_size=13), weighed, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_a_single_question_that_memory_does_not_hold_fails(tiny: VLM, asked: list[Sample]) -> None:
    small: Any = Small(tiny, 0)
    with pytest.raises(torch.OutOfMemoryError):
        answers(small, asked[:3], Run(), max_new_tokens=8, batch_size=3)
    assert small.sizes == [3, 2, 1]


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiny: VLM, asked: list[Sample]) -> None:
    held_: Held[Sample, str] = Held(lambda part: (_ for _ in ()).throw(RuntimeError("shapes differ")), tiny.device)
    with pytest.raises(RuntimeError, match="shapes differ"):
        held_(asked)
    assert held_.most is None


# ----------------------------------------------------------------------------------------- as many as memory holds
@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """A machine with so many bytes free, on which a batch takes so many."""

    class Taking:
        def __init__(self, taken: int) -> None:
            self.peak = 1000 + taken

        def __enter__(self) -> "Taking":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def set_to(free: int, taken: int) -> None:
        monkeypatch.setattr(held, "free_memory", lambda device: free)
        monkeypatch.setattr(held, "held_memory", lambda device: 1000)
        monkeypatch.setattr(held, "PeakMemory", lambda device: Taking(taken))

    return set_to


@pytest.mark.parametrize(("holds", "size"), [(0, 16), (31, 16), (32, 32), (63, 32), (64, 64), (127, 64), (10**6, 128)])
def test_the_size_is_the_power_of_two_that_half_of_the_free_memory_holds(memory: Any, holds: int, size: int) -> None:
    memory(2 * holds * 3, 3 * FEW)  # three bytes a question
    asked: Held[int, int] = Held(list, torch.device("cpu"))
    assert asked(range(FEW)) == [*range(FEW)]
    assert asked.size() == size
    assert (FEW, MANY) == (16, 128)


def _many(asked: list[Sample], count: int) -> list[Asked]:
    return [Asked(f"{asked[number % 13].text} {number // 13}", asked[number % 13].images) for number in range(count)]


def test_a_few_are_asked_first_and_then_as_many_as_memory_holds(tiny: VLM, asked: list[Sample], memory: Any) -> None:
    memory(2 * 32, FEW)
    queries, small, run = _many(asked, 100), Small(tiny, 10**6), Run()
    said = answers(small, queries, run, max_new_tokens=2, what="asking")  # type: ignore[arg-type]
    assert small.sizes[0] <= FEW < max(small.sizes[1:]) <= 32
    assert run.notes == {"asked_at_a_time": {"asking": max(small.sizes)}}
    assert said == answers(tiny, queries, Run(), max_new_tokens=2, batch_size=100)


def test_a_run_that_goes_on_makes_the_batches_that_it_began_with(
    tiny: VLM, asked: list[Sample], memory: Any, tmp_path: Path
) -> None:
    memory(2 * 32, FEW)
    queries, first = _many(asked, 100), Small(tiny, 10**6)
    pairs = [(query, "yes") for query in queries]
    said = log_probabilities(first, pairs, Run(journal=JournalFile(tmp_path / "a.jsonl")))  # type: ignore[arg-type]
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == len(first.sizes) > 3
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines[:2]))
    memory(2 * 128, FEW)  # there is more memory now
    again = Small(tiny, 10**6)
    assert log_probabilities(again, pairs, Run(journal=JournalFile(tmp_path / "a.jsonl"))) == said  # type: ignore[arg-type]
    assert again.sizes == first.sizes[2:]


# ------------------------------------------------------------------------------------------------ keyed requests
def test_replies_are_found_by_key_whatever_is_asked_together(tiny: VLM, asked: list[Sample]) -> None:
    first, second = asked[:2]
    requests: list[Request[str, Any]] = [
        Weigh("how likely", first, first.answer), Ask("long", second, 8), Ask("short", first, 1), Ask("word", second, 1)
    ]  # fmt: skip
    run = Run()
    replies = ask(tiny, requests, run, batch_size=2, what="all")
    assert [*replies] == ["how likely", "long", "short", "word"]
    assert [replies["long"]] == tiny.generate(tiny.prepare([second]), max_new_tokens=8)
    assert replies["long"].startswith(replies["word"])
    [plain] = tiny.answer_log_probabilities(tiny.prepare([first], [first.answer]))
    assert replies["how likely"] == pytest.approx(plain.tolist(), abs=1e-4)
    assert run.notes["asked_at_a_time"] == {"all": 2}
    assert ask(tiny, [], run) == {}


def test_log_probabilities_are_rounded_on_their_way_out_of_the_journal(
    tiny: VLM, asked: list[Sample], tmp_path: Path
) -> None:
    """So answers that were written down before they were rounded give the same as those of today."""
    requests = [Weigh(place, each, each.answer) for place, each in enumerate(asked)]
    journal = tmp_path / "a.jsonl"
    said = ask(tiny, requests, Run(journal=JournalFile(journal)))
    values = [value for of in said.values() for value in of]
    assert values == [round(value, 5) for value in values]
    assert all(copysign(1, value) > 0 for value in values if not value)
    stored = [value for line in journal.read_text().splitlines() for value in numbers(json.loads(line)["answer"])]
    assert stored != [round(value, 5) for value in stored]
    assert sorted(round(value, 5) for value in stored) == sorted(values)
    assert ask(tiny, requests, Run(journal=JournalFile(journal))) == said


def numbers(said: Any) -> list[float]:
    """All log-probabilities of an entry, in whatever lists."""
    if isinstance(said, dict):
        return numbers(said["said"])
    return [said] if isinstance(said, float) else [value for each in said for value in numbers(each)]


def test_a_request_may_be_drawn_with_a_seed_of_its_own(tiny: VLM, asked: list[Sample], tmp_path: Path) -> None:
    run = Run(journal=JournalFile(tmp_path / "a.jsonl"))
    drawn = [Ask(seed, asked[0], 8, Sampling(temperature=3.0, seed=seed)) for seed in range(6)]
    said = ask(tiny, [Ask("greedy", asked[0], 8), *drawn], run, batch_size=4)
    assert said["greedy"] == ask(tiny, [Ask(0, asked[0], 8)], Run())[0]
    assert len(set(said.values())) > 3
    assert ask(tiny, drawn[::-1], Run(), batch_size=2) == {seed: said[seed] for seed in range(6)}
    other = [Ask(0, asked[0], 8, Sampling(temperature=3.0, seed=7))]  # nothing that the journal knows
    assert ask(tiny, other, run) == ask(tiny, other, Run())


class Offered(Request[int, list[str]]):
    """How many options a query has is its own affair; replies with them."""

    kind = ("offered",)
    length = 1

    def __init__(self, key: int, query: Asked, *options: str) -> None:
        self.key, self.query, self.options = key, query, options

    @property
    def text(self) -> tuple[str, ...]:
        return self.options

    @classmethod
    def replies(cls, model: VLM, batch: Any) -> list[list[str]]:
        return [[*each.options] for each in batch]


def test_requests_with_unequally_many_texts_are_told_apart(tiny: VLM, tmp_path: Path) -> None:
    one, other = Asked("one?"), Asked("two?")
    for first, second in ((["x"], ["y", "z"]), (["x", "y"], ["z"])):
        run = Run(journal=JournalFile(tmp_path / "a.jsonl"))  # type: ignore[arg-type]
        said = ask(tiny, [Offered(0, one, *first), Offered(1, other, *second)], run)
        assert said == {0: first, 1: second}


def test_two_requests_of_one_key_are_refused(tiny: VLM, asked: list[Sample]) -> None:
    with pytest.raises(PluginError, match=r"mine: 2 requests have the key 'a'; give each one of its own"):
        ask(tiny, [Ask("a", asked[0], 2), Ask("b", asked[1], 2), Ask("a", asked[2], 2)], Run(), what="mine")


# ---------------------------------------------------------------------------------------------------------- batches
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=60), st.integers(1, 20))
def test_batches_hold_every_row_once_and_cut_up_only_what_is_too_large(rows: list[tuple[int, int]], size: int) -> None:
    lengths, pictures = [length for length, _ in rows], [Path(str(picture)) for _, picture in rows]
    order = by_picture(lengths, pictures)
    made = batches(order, size, pictures)
    assert [row for batch in made for row in batch] == order
    assert sorted(order) == [*range(len(rows))]
    assert all(0 < len(batch) <= size for batch in made)
    for picture in set(pictures):
        own = [batch for batch in made if any(pictures[row] == picture for row in batch)]
        fewest = -(-pictures.count(picture) // size)
        assert len(own) <= fewest if fewest == 1 else len(own) <= fewest + 1
    if rows:
        longest = max(range(len(rows)), key=lambda row: lengths[row])
        assert lengths[order[0]] == lengths[longest]
