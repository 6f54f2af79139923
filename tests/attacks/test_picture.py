"""Changed pictures: what each kind does, that it is always the same, and that nothing but the picture changes."""

import random
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageChops

from unlearnbench.attacks.picture import STRENGTHS, Kind, PictureAttack, PictureChange, Strength, altered, changes
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


def test_pictures_are_stored_without_loss(photo: Image.Image, tmp_path: Path) -> None:
    image = altered(photo.copy(), PictureChange("jpeg", "medium"), random.Random(0))
    image.save(tmp_path / "a.png")
    assert ImageChops.difference(image, Image.open(tmp_path / "a.png")).getbbox() is None
