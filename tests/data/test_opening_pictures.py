"""Pictures are read as viewers show them, or refused by name: every mode against arithmetic of its own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.data_folders import record, write_folder
from unlearnbench.data.pictures import open_picture, picture_digests, picture_of
from unlearnbench.errors import DataError
from unlearnbench.models.pictures import cache as of_models
from unlearnbench.tasks.fiubench.reader import read

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9), dtype=np.uint16)


def pixels(path: Path) -> np.ndarray:
    image = open_picture(path)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1).astype(int)


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None].astype(float) / 255
    return share * colours + (1 - share) * 255


# ------------------------------------------------------------------------------------------------------------ modes
def palette() -> Image.Image:
    image = Image.fromarray(GREY % 4, "L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    return image


COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])
CASES = {
    "1.png": (Image.fromarray(GREY > 99), grey(np.where(GREY > 99, 255, 0)), {}),
    "L.png": (Image.fromarray(GREY), grey(GREY), {}),
    "RGB.png": (Image.fromarray(RGB), RGB, {}),
    "RGB.bmp": (Image.fromarray(RGB), RGB, {}),
    "RGB.webp": (Image.fromarray(RGB), RGB, {"lossless": True}),
    "RGB.tiff": (Image.fromarray(RGB), RGB, {}),
    "P.png": (palette(), COLOURS[GREY % 4], {}),
    "P.gif": (palette(), COLOURS[GREY % 4], {}),
    "P transparent.png": (
        palette(), np.where((GREY % 4 == 2)[..., None], 255, COLOURS[GREY % 4]), {"transparency": 2}
    ),
    "P transparent.gif": (
        palette(), np.where((GREY % 4 == 2)[..., None], 255, COLOURS[GREY % 4]), {"transparency": 2}
    ),
    "P half transparent.png": (
        palette(), on_white(COLOURS[GREY % 4], np.array([0, 100, 200, 255])[GREY % 4]),
        {"transparency": bytes([0, 100, 200, 255])},
    ),
    "L transparent.png": (Image.fromarray(GREY), grey(np.where(GREY[2, 3] == GREY, 255, GREY)),
                          {"transparency": int(GREY[2, 3])}),
    "RGB transparent.png": (
        Image.fromarray(RGB), np.where((RGB[1, 1] == RGB).all(-1)[..., None], 255, RGB),
        {"transparency": tuple(map(int, RGB[1, 1]))},
    ),
    "LA.png": (Image.fromarray(np.dstack([GREY, ALPHA])), on_white(grey(GREY), ALPHA), {}),
    "RGBA.png": (Image.fromarray(np.dstack([RGB, ALPHA])), on_white(RGB, ALPHA), {}),
    "RGBA.webp": (Image.fromarray(np.dstack([RGB, ALPHA])), on_white(RGB, ALPHA), {"lossless": True, "exact": True}),
    "I;16.png": (Image.fromarray(DEEP), grey(np.rint(DEEP / 257)), {}),
    "I;16.tiff": (Image.fromarray(DEEP), grey(np.rint(DEEP / 257)), {}),
    "I;16 transparent.png": (
        Image.fromarray(DEEP), grey(np.where(DEEP[0, 0] == DEEP, 255, np.rint(DEEP / 257))),
        {"transparency": int(DEEP[0, 0])},
    ),
    "CMYK.tiff": (
        Image.fromarray(np.dstack([RGB, GREY]), "CMYK"),
        (255 - RGB.astype(float)) * (255 - GREY.astype(float))[..., None] / 255, {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_mode_is_read_as_viewers_show_it(tmp_path: Path, name: str) -> None:
    image, shown, options = CASES[name]
    path = tmp_path / name
    image.save(path, **options)
    assert np.abs(pixels(path) - shown).max() <= 1
    assert len(picture_digests([path])) == 1


def test_sixteen_bit_greys_of_a_portable_graymap(tmp_path: Path) -> None:
    path = tmp_path / "deep.pgm"
    path.write_bytes(b"P5\n9 6\n65535\n" + DEEP.astype(">u2").tobytes())
    assert np.abs(pixels(path) - grey(np.rint(DEEP / 257))).max() <= 1


# ------------------------------------------------------------------------------------------------------ orientation
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""What the EXIF standard says a viewer does with the stored rows, by orientation."""


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("name", ["photo.png", "photo.webp", "photo.tiff", "photo.jpg", "deep.png", "clear.png"])
def test_orientation_is_that_of_viewers(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = {"deep.png": DEEP, "clear.png": np.dstack([RGB, ALPHA])}.get(name, RGB)
    if name == "photo.jpg":
        stored = np.full((16, 32, 3), 250, np.uint8)
        stored[:8, :16] = 5
    path = tmp_path / name
    Image.fromarray(stored).save(path, exif=exif, **({"lossless": True} if name.endswith("webp") else {}))
    shown = grey(np.rint(DEEP / 257)) if name == "deep.png" else on_white(RGB, ALPHA) if name == "clear.png" else stored
    assert np.abs(pixels(path) - TURNED[orientation](shown)).max() <= (9 if name.endswith("jpg") else 1)


def test_damaged_exif_leaves_a_picture_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05nonsense")
    assert np.array_equal(pixels(path), RGB)


# ---------------------------------------------------------------------------------------------------------- refusals
def frames(path: Path) -> None:
    Image.fromarray(RGB).save(path, save_all=True, append_images=[Image.fromarray(255 - RGB)])


def cut(path: Path) -> None:
    Image.effect_noise((64, 64), 60).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-60])


REFUSED = {
    "animated.gif": (frames, "holds 2 pictures"),
    "animated.png": (frames, "holds 2 pictures"),
    "animated.webp": (frames, "holds 2 pictures"),
    "pages.tiff": (frames, "holds 2 pictures"),
    **{f"cut.{suffix}": (cut, "") for suffix in ("jpg", "png", "webp", "bmp", "gif", "tiff")},
    "thin.png": (lambda path: Image.new("RGB", (1, 300)).save(path), "1 x 300 pixels are too long and thin"),
    "wide.png": (lambda path: Image.new("RGB", (2010, 10)).save(path), "2010 x 10 pixels are too long and thin"),
    "float.tiff": (lambda path: Image.fromarray(GREY.astype(np.float32)).save(path), "numbers of 32 bits"),
    "int.tiff": (lambda path: Image.fromarray(GREY.astype(np.int32)).save(path), "numbers of 32 bits"),
    "text.png": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "not an image"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "not an image"),
    "folder.png": (lambda path: path.mkdir(), "directory"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused_by_name_wherever_it_is_opened(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    path = tmp_path / name
    make(path)
    for read_it in (open_picture, lambda each: picture_digests([each]), of_models.open_picture, picture_of):
        with pytest.raises(DataError) as caught:
            read_it(path)
        message = str(caught.value)
        assert str(path) in message
        assert reason in message
        assert "replace it" in message
        assert "\n" not in message


def test_a_reader_of_data_refuses_it_before_anything_starts(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", map(record, range(6)))
    frames_of = folder / "SFHQ" / "SFHQ_pt1_00000003.png"
    frames(frames_of)
    with pytest.raises(DataError, match=r"SFHQ_pt1_00000003\.png cannot be decoded \(it holds 2 pictures"):
        read(folder)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png does not exist: put it back"):
        open_picture(tmp_path / "a.png")


# ----------------------------------------------------------------------------------------------------------- digests
def test_digests_are_the_files_own_where_pixels_are_shown_as_they_stand(tmp_path: Path) -> None:
    from hashlib import sha256

    plain, deep, turned, clear = (tmp_path / f"{name}.png" for name in ("plain", "deep", "turned", "clear"))
    Image.fromarray(RGB).save(plain)
    Image.fromarray(DEEP).save(deep)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(turned, exif=exif)
    Image.fromarray(np.dstack([RGB, ALPHA])).save(clear)
    own = [sha256(path.read_bytes()).digest() for path in (plain, deep, turned, clear)]
    found = picture_digests([plain, deep, turned, clear])
    assert found[0] == own[0]
    for digest, file in zip(found[1:], own[1:], strict=True):
        assert digest != file, "what was stored of such a picture was computed from other pixels"
    assert len({*found, *own}) == 7


def test_text_beside_the_pixels_changes_nothing_that_is_shown(tmp_path: Path) -> None:
    about = PngImagePlugin.PngInfo()
    about.add_text("Orientation", "6")
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=about)
    assert np.array_equal(pixels(tmp_path / "a.png"), RGB)
