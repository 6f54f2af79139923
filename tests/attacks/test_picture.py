"""Changed pictures: what each kind does, that it is always the same, and that nothing but the picture changes."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageChops

from tests.attacks.aimed import Aimed
from unlearnbench import Asked, Run, Sets, UsageError
from unlearnbench.attacks.picture import STRENGTHS, Kind, PictureAttack, PictureChange, Strength, altered, changes
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack


@pytest.fixture
def photo() -> Image.Image:
    """Rather smooth, as photos are."""
    rows, columns = np.mgrid[:120, :160]
    waves = [127 + 100 * np.sin(rows / (7 + each) + columns / 11) for each in range(3)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


def made(photo: Image.Image, kind: Kind, strength: Strength, seed: int = 0) -> Any:
    image = altered(photo.copy(), PictureChange(kind, strength), random.Random(seed))
    assert image.size == photo.size
    return np.asarray(image).astype(float)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_change_is_the_same_every_time_and_stronger_ones_change_more(photo: Image.Image, kind: Kind) -> None:
    own = np.asarray(photo).astype(float)
    found = [made(photo, kind, strength) for strength in get_args(Strength)]
    assert all((made(photo, kind, each) == one).all() for each, one in zip(get_args(Strength), found, strict=True))
    away = [abs(each - own).mean() for each in found]
    assert 0 < away[0] < away[1] < away[2]


def test_changes_are_what_they_are_called(photo: Image.Image) -> None:
    own = np.asarray(photo).astype(float)
    mirrored = np.asarray(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert (made(photo, "rotation", "strong") == mirrored).all()
    spread = (made(photo, "noise", "medium") - own).std() / 255
    assert spread == pytest.approx(0.08, rel=0.1)
    covered = (made(photo, "occlusion", "medium") != own).any(-1).mean()
    assert covered == pytest.approx(0.18, abs=0.02)
    assert (made(photo, "occlusion", "medium") != made(photo, "occlusion", "medium", seed=1)).any()
    middle = photo.crop((20, 15, 140, 105)).resize(photo.size)  # .75 of each side
    assert abs(made(photo, "crop", "medium") - np.asarray(middle)).mean() < 6
    dark = made(photo, "light", "medium")
    assert dark.mean() == pytest.approx(0.7 * own.mean(), rel=0.02)
    assert dark.std() == pytest.approx(0.49 * own.std(), rel=0.05)


def test_every_kind_in_every_strength_is_a_variant() -> None:
    found = [each.name for each in changes(STRENGTHS, get_args(Strength))]
    assert len({*found}) == 24
    default = PictureAttack.Params()
    assert [each.strength for each in changes(default.kinds, default.strengths)] == ["medium"] * 8


def test_it_keeps_the_contract() -> None:
    check_attack("picture", {"kinds": ["jpeg"]})


@dataclass(frozen=True)
class Shown(Aimed):
    """Aimed at few questions, the first of which has no picture; pictures are made in a folder."""

    folder: Path = field(default=Path())

    @property
    def sets(self) -> Sets:
        first, *rest = super().sets.forget[:4]
        return Sets(forget=(replace(first, query=Asked(first.text)), *rest))

    def other_views(self, samples: Any) -> dict[str, Any]:
        return {}

    def picture(self, recipe: Any, make: Callable[[], Image.Image]) -> Path:
        path = self.folder / f"{'-'.join(map(str, recipe))}.png"
        make().save(path)
        return path


def test_a_question_without_a_picture_leaves_the_worst_of_the_others(small_data: Path, tmp_path: Path) -> None:
    kind = tasks.get("fiubench")
    task, attack = kind(kind.Options(max_new_tokens=2)), PictureAttack(PictureAttack.Params(kinds=("jpeg", "light")))
    target = Shown(attack, task, task.load(str(small_data), 1), folder=tmp_path)  # type: ignore[call-arg]
    shown = {each.id for each in target.victims if each.images}
    found = attack.ask(load(card_for("tiny-qwen2.5-vl"), "cpu"), target, Run())  # type: ignore[arg-type]
    assert {*found} == {"jpeg medium", "light medium", "grey frame", "any"}
    assert len(shown) == 3
    assert all({each["id"] for each in records} == shown for records in found.values())
    assert {each["of"] for each in found["any"]} <= found.keys()


def test_without_any_picture_there_is_nothing_to_change(small_data: Path) -> None:
    kind = tasks.get("fiubench")
    task = kind(kind.Options())
    sets = task.load(str(small_data), 1).sets
    bare = Sets(forget=tuple(replace(each, query=Asked(each.text)) for each in sets.forget))
    attack = PictureAttack(PictureAttack.Params())
    with pytest.raises(UsageError, match="attack picture: no question to be forgotten has a picture"):
        attack.victims(bare)  # as planning asks, before anything is trained
    assert attack.victims(sets) == sets.forget


def test_pictures_are_stored_without_loss(photo: Image.Image, tmp_path: Path) -> None:
    image = altered(photo.copy(), PictureChange("jpeg", "medium"), random.Random(0))
    image.save(tmp_path / "a.png")
    assert ImageChops.difference(image, Image.open(tmp_path / "a.png")).getbbox() is None
