"""What a run shows of itself: where it is, at any width, and lines that stay once something is over."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from unlearnbench.report.progress import TerminalDisplay
from unlearnbench.report.time_left import TimeLeft, spelt


class Screen:
    """A terminal (or a file) of some width, a clock that is set by hand, and what is shown on it."""

    def __init__(self, cells: int = 3, width: int = 80, workers: int = 1, *, terminal: bool = True) -> None:
        self.now = 0.0
        self.plans: Any = [planned(name) for name in ("ga", "npo-gd", "cagul", "po-gd")[:cells]]
        self.file = io.StringIO()
        self.console = Console(file=self.file, width=width, force_terminal=terminal, color_system=None, height=30)
        self.display = TerminalDisplay(self.console, self.plans, workers, lambda: self.now)

    def shown(self) -> str:
        """What stands there now, and is drawn anew."""
        with self.console.capture() as drawn:
            self.console.print(self.display)
        return drawn.get()

    @property
    def left(self) -> str:
        """What was left behind."""
        return self.file.getvalue()

    def bar(self, what: str, total: int, *steps: tuple[float, int], place: int = 0, **figures: float) -> None:
        """A bar, and steps each after so many seconds."""
        self.display.bar(place, what, total)
        for seconds, number in steps:
            self.now += seconds
            self.display.advance(place, number, figures)

    def end(self, number: int, *, cached: bool = False, ok: bool = True) -> None:
        row = SimpleNamespace(status="ok" if ok else "error")
        finished: Any = SimpleNamespace(plan=self.plans[number], row=row, cached=cached)
        self.display.ended(finished)


def planned(method: str, task: str = "fiubench", model: str = "tiny-qwen2.5-vl", seed: int = 7) -> Any:
    cell = SimpleNamespace(method=method, task=task, model=model, seed=seed, typed="", attack=None)
    return SimpleNamespace(row_id=f"{method} {task} {model} {seed}", cell=cell)


def test_it_says_which_cell_of_how_many_and_how_far_that_is() -> None:
    screen = Screen()
    screen.end(0, cached=True)
    screen.display.begins(0, screen.plans[1])
    assert "starting" in screen.shown()
    screen.bar("loading the model", 1)
    assert screen.shown().splitlines()[1] == "  loading the model 0:00:00"
    screen.display.over(0, done=True)
    assert "at work" in screen.shown()
    screen.bar("unlearning", 120, (10.0, 20), (10.0, 20), forget=1.25)
    lines = screen.shown().splitlines()
    assert lines[0] == "cell 2 of 3: npo-gd on fiubench, tiny-qwen2.5-vl, seed 7"
    assert re.fullmatch(r"  unlearning ━{8} {17}40/120 0:00:20, 0:00:40 left forget 1.250\s*", lines[1])
    assert lines[2] == "1 of 3 cells done in 0:00:20"  # no cell was computed that would tell how long the rest takes


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_is_cut_at_any_width(width: int) -> None:
    screen = Screen(width=width)
    plan = screen.plans[0]
    plan.cell.model, plan.cell.typed = (
        "/data/models/our-own-finetuned-model-of-eleven-billion",
        "ga.epochs=5 base.full=true",
    )
    screen.display.begins(0, plan)
    figures = {"forget": -12.3456, "nonprivate": 0.5, "retain": 3.25, "of_the_validation_set": 1.125}
    screen.bar("stage: memorising the pairs", 12_000, (3.0, 3_000), (3.0, 3_000), **figures)
    running = screen.shown()
    screen.display.over(0, done=True)
    for text in (running, screen.left):
        lines = text.splitlines()
        assert max(len(line.rstrip()) for line in lines) <= width
        assert "…" not in text
        words = "".join(text.split())
        for said in (
            "ga on fiubench", plan.cell.model, "seed 7", plan.cell.typed, "stage: memorising the pairs", "0:00:06",
            "forget -12.346", "nonprivate 0.500", "retain 3.250", "of_the_validation_set 1.125",
        ):  # fmt: skip
            assert said.replace(" ", "") in words
    assert "6000/12000" in "".join(running.split())


def test_what_ends_early_ends_as_done_and_what_fails_as_cut_off() -> None:
    screen = Screen(cells=1)
    screen.display.begins(0, screen.plans[0])
    for done in (True, False):
        screen.bar("unlearning", 120, (5.0, 12), forget=2.0)
        screen.display.over(0, done=done)
    _, early, cut = screen.left.splitlines()
    assert re.fullmatch(r"  unlearning ━{24} done after 12 of 120, 0:00:05 forget 2.000\s*", early)
    assert re.fullmatch(r"  unlearning ━━ +12/120 0:00:05, cut off forget 2.000\s*", cut)
    assert "cells done" not in screen.shown()  # there is one


def test_of_one_worker_bars_leave_lines_under_their_cell_and_loading_leaves_none() -> None:
    screen = Screen(terminal=False)
    for number in (0, 1):
        screen.display.begins(0, screen.plans[number])
        for what, total in (("loading the model", 1), ("asking", 8), ("scoring", 4)):
            screen.bar(what, total, (1.0, total))
            screen.display.over(0, done=True)
        screen.end(number)
    names = [line.split("━")[0].strip() for line in screen.left.splitlines()]
    ga, npo = (f"cell {n} of 3: {name} on fiubench, tiny-qwen2.5-vl, seed 7" for n, name in ((1, "ga"), (2, "npo-gd")))
    assert names == [ga, "asking", "scoring", npo, "asking", "scoring"]
    assert "\x1b" not in screen.left


def test_of_several_workers_cells_leave_lines() -> None:
    screen = Screen(workers=2, terminal=False)
    screen.display.begins(0, screen.plans[0])
    screen.display.begins(1, screen.plans[1])
    screen.bar("asking", 8, (30.0, 4), place=0)
    screen.bar("unlearning", 8, (30.0, 4), place=1)
    drawn = screen.shown()
    for said in ("cell 1 of 3: ga on", "asking", "cell 2 of 3: npo-gd on", "unlearning"):
        assert said in drawn
    screen.display.over(1, done=True)
    screen.end(1)
    screen.display.begins(1, screen.plans[2])
    assert "cell 3 of 3: cagul on" in screen.shown()
    screen.end(0, ok=False)
    assert screen.left.splitlines() == ["cell 2 of 3: npo-gd on fiubench, tiny-qwen2.5-vl, seed 7 - 0:01:00"]


def test_what_is_said_stands_in_one_piece() -> None:
    screen = Screen(width=40)
    with screen.display as display:
        display.say("error: [bold]" + 80 * "x")
    assert "error: [bold]" + 80 * "x" in screen.left


def test_the_time_left_is_what_like_cells_took() -> None:
    """Of the same model, method and task at best; what was spent on a cell under way is taken off."""
    plans = [planned(method, task, seed=seed) for seed in (0, 1) for method in ("ga", "cagul") for task in ("a", "b")]
    left = TimeLeft(plans)
    assert left.seconds({}, 1) is None
    for plan, seconds in zip(plans[:3], (100.0, 10.0, 300.0), strict=True):
        left.ended(plan)
        left.took(plan, seconds)
    # Left: cagul on b, like the one other b; then seed 1 of ga on a and b, of cagul on a, and once more on b.
    assert left.seconds({}, 1) == pytest.approx(10 + 100 + 10 + 300 + 10)
    assert left.seconds({plans[3].row_id: 4.0, plans[4].row_id: 150.0}, 1) == pytest.approx(6 + 0 + 10 + 300 + 10)
    assert left.seconds({}, 2) == pytest.approx(430 / 2)
    for plan in plans:
        left.ended(plan)
    assert left.seconds({}, 2) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (59.6, "0:01:00"), (3_725, "1:02:05"), (400_000, "111:06:40")],
)
def test_times_are_spelt_as_by_a_clock(seconds: float, text: str) -> None:
    assert spelt(seconds) == text
