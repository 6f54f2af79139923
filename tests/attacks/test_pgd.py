"""Steps on pixels against a gate that is known: they mislead it where chance does not, within their bounds."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.journals import Remembers
from unlearnbench.attacks.pgd import PGD, PGDParams
from unlearnbench.contracts.sample import Asked, Sample, Sets
from unlearnbench.errors import UsageError
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.runtime.run import Run
from unlearnbench.testing import check_attack


@pytest.fixture(scope="module", params=["tiny-qwen2.5-vl", "tiny-mllama"])
def seeing(request: pytest.FixtureRequest) -> VLM:
    return load(card_for(request.param), "cpu")


class Direction:
    """A gate that flags pictures whose mean visual token goes far in one direction."""

    held = None
    modules: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, width: int) -> None:
        self.way, self.threshold = torch.randn(width, generator=torch.Generator().manual_seed(0)), 0.0

    def gate_scores(self, pictures: Any) -> Tensor:
        return torch.stack([picture.tokens.mean(0) @ self.way for picture in pictures])

    def __call__(self, batch: Any, visual: list[Tensor]) -> list[Tensor]:
        return visual


class Here:
    """A target that keeps pictures and asks nothing."""

    def __init__(self, folder: Path, samples: tuple[Sample, ...]) -> None:
        self.folder, self.victims, self.utility = folder, samples, samples
        self.shown, self.held_open = dict[str, Path](), dict[str, Path]()

    def picture(self, recipe: Any, make: Callable[[], Image.Image]) -> Path:
        path = self.folder / f"{hashlib.sha256(repr(recipe).encode()).hexdigest()}.png"
        if not path.is_file():
            make().save(path)
        return path

    def records(self, model: VLM, asked: Any, how: Any = None) -> list[dict[str, Any]]:
        own = [each for of in asked.values() for each in of]
        if how:
            shown = self.held_open if how.gate == "open" else self.shown
            shown |= {each.id: how.of(each).images[0] for each in own}
        return [{"id": each.id} for each in own]


@pytest.fixture
def picture(small_data: Path) -> Path:
    return min((small_data / "SFHQ").glob("*.png"))


def misled(seeing: VLM, picture: Path, folder: Path, margin: float, journal: Any = None) -> tuple[Here, Any]:
    """What comes of a gate that flags the picture by so much; below 0 it does not."""
    gate = Direction(seeing.width)
    with torch.no_grad():
        gate.threshold = float(gate.gate_scores([seeing.see(picture)])[0]) - margin
    sample = Sample("a", "ann", Asked("Who is this?", (picture,)), "Ann")
    here = Here(folder, (sample,))
    seeing.visual_edit = gate
    run = Run(0) if journal is None else Run(0, journal=journal)
    try:
        found = PGD(PGDParams(eps=(2, 8), steps=10, restarts=1)).ask(seeing, here, run)  # type: ignore[arg-type]
    finally:
        seeing.visual_edit = None
    return here, found


def far_from(seeing: VLM, one: Path, other: Path) -> int:
    """By how much of 255 two pictures differ at the most, at the size at which they are read."""
    size = seeing.own_size(*Image.open(one).size)
    before, after = (np.asarray(Image.open(each).convert("RGB").resize(size)).astype(int) for each in (one, other))
    return int(abs(before - after).max())


@pytest.mark.parametrize(("aim", "side"), [("open", 1), ("closed", -1)])
def test_it_misleads_by_pictures_that_the_model_reads_as_any_other(
    seeing: VLM, picture: Path, tmp_path: Path, aim: str, side: int
) -> None:
    here, found = misled(seeing, picture, tmp_path, side * 0.3)
    own = [each for each in found["pictures"] if each["aim"] == aim]
    assert [(each["eps"], each["already"], each["at_random"]) for each in own] == [(2, False, False), (8, False, False)]
    assert own[-1]["misled"]
    least = min(each["eps"] for each in own if each["misled"])
    assert found[aim][0]["misled"]
    other = next(each for each in found["pictures"] if each["aim"] != aim)
    assert other["already"]
    shown = here.shown["a"] if aim == "closed" else here.held_open["a"]
    assert 0 < far_from(seeing, picture, shown) <= least
    gate = Direction(seeing.width)
    with torch.no_grad():
        scores = [float(gate.gate_scores([seeing.see(each)])[0]) for each in (picture, shown)]
    assert (scores[0] - scores[1]) * side > 0.3


def test_what_a_gate_does_not_give_way_to_is_said(seeing: VLM, picture: Path, tmp_path: Path) -> None:
    """Then a picture is asked about that is changed as much, by chance; one about which it is wrong anyhow as it is."""
    here, found = misled(seeing, picture, tmp_path, 1e6)
    own = [each for each in found["pictures"] if each["aim"] == "open"]
    assert not any(each["misled"] for each in own)
    assert not found["open"][0]["misled"]
    assert here.shown["a"] == picture  # the last that was asked about: to which it is closed from the first
    changed = here.held_open["a"]
    assert far_from(seeing, picture, changed) == 8
    rates = PGD(PGDParams()).measured(None, found["pictures"])  # type: ignore[arg-type]
    assert rates["open.misled_8"].value == 0
    assert rates["open.least_eps"].value is None
    assert rates["closed.wrong_before"].value == 1


class Blind(Direction):
    """A gate that flags everything, whatever it is shown."""

    def gate_scores(self, pictures: Any) -> Tensor:
        return torch.ones(len(pictures))


def test_a_gate_that_gives_no_gradient_is_told(seeing: VLM, picture: Path, tmp_path: Path) -> None:
    """Not to be misled by steps is no merit of one that gives nothing to follow."""
    sample = Sample("a", "ann", Asked("Who is this?", (picture,)), "Ann")
    seeing.visual_edit = Blind(seeing.width)
    made = PGD(PGDParams(eps=(2,), steps=1, restarts=1))
    try:
        found = made.ask(seeing, Here(tmp_path, (sample,)), Run(0))["pictures"]  # type: ignore[arg-type]
    finally:
        seeing.visual_edit = None
    rates = made.measured(None, found)  # type: ignore[arg-type]
    assert rates["open.without_gradient"].value == 1
    assert rates["open.misled_2"].value == 0
    sharp = [{name: value for name, value in each.items() if name != "flat"} for each in found]
    assert "open.without_gradient" not in made.measured(None, sharp)  # type: ignore[arg-type]


def test_what_was_found_is_not_searched_again_and_lost_pictures_are_made_anew(
    seeing: VLM, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Remembers()
    _, first = misled(seeing, picture, tmp_path, 0.05, journal)
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    for path in tmp_path.glob("*.png"):
        path.unlink()
    _, again = misled(seeing, picture, tmp_path, 0.05, journal)
    assert again == first
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.png")} == files
    monkeypatch.setattr("unlearnbench.attacks.pgd.Traced.of", None)  # nothing is searched
    assert misled(seeing, picture, tmp_path, 0.05, journal)[1] == first


@pytest.mark.parametrize("name", ["pgd", "gate"])
def test_they_keep_the_contract(name: str) -> None:
    check_attack(name)


def asked_on(*pictures: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(
        Sample(f"{at}", f"{at // 4}", Asked("?", tuple(map(Path, own))), "yes") for at, own in enumerate(pictures)
    )


def test_victims_are_questions_on_some_of_the_pictures() -> None:
    samples = asked_on(*((f"{at // 2}.png",) for at in range(16)))
    few = PGD(PGDParams(faces=4)).victims(Sets(forget=samples))
    assert {path.name for each in few for path in each.images} == {f"{at}.png" for at in (0, 2, 4, 6)}
    assert len(few) == 8


def test_pictures_that_are_asked_about_together_are_taken_together() -> None:
    samples = asked_on(*((f"{at}.png", f"{at} again.png") for at in range(26)), ())
    few = PGD(PGDParams(faces=20)).victims(Sets(forget=samples))
    assert [each.id for each in few] == [f"{at}" for at in range(0, 26, 2)]


def test_without_a_picture_there_is_nothing_to_plan() -> None:
    with pytest.raises(UsageError, match="attack pgd: no question of the forget set has a picture"):
        PGD(PGDParams()).victims(Sets(forget=asked_on((), ())))


def test_a_model_without_a_gate_is_asked_on_pictures_changed_as_much_by_chance(
    seeing: VLM, picture: Path, tmp_path: Path
) -> None:
    """So that what the change itself costs is not taken for forgetting."""
    sample = Sample("a", "ann", Asked("Who is this?", (picture,)), "Ann")
    shown, run = [], Run(0)
    for _ in range(2):
        here = Here(tmp_path, (sample,))
        found = PGD(PGDParams(eps=(1, 3))).ask(seeing, here, run)  # type: ignore[arg-type]
        shown.append(here.shown["a"])
    assert shown[0] == shown[1]
    assert far_from(seeing, picture, shown[0]) == 3
    assert [*found] == ["open"]
    assert not found["open"][0]["misled"]
    assert "no gate" in run.notes["pgd"]
    seeing.visual_edit = lambda batch, visual: visual
    try:
        PGD(PGDParams()).ask(seeing, Here(tmp_path, (sample,)), run)  # type: ignore[arg-type]
    finally:
        seeing.visual_edit = None
    assert "gives no scores" in run.notes["pgd"]


def test_behind_a_gate_that_is_held_open_nothing_is_scored() -> None:
    """It tells what the pictures still show, and is the base by definition."""
    made, kind = PGD(PGDParams()), tasks.get("fiubench")
    task = kind(kind.Options())
    record = {"id": "1/7", "set": "forget", "prediction": "yes", "answer": "yes", "held": "open", "misled": True}
    assert made.values(task, [record]) == {}
