"""The one way in which a picture file is opened: as viewers show it, or refused with its name.

Turned as its EXIF orientation says, 16 bits a channel brought to 8, transparent parts on white. What viewers show
differently, or nobody can see anything in, is an error.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError
from .folder import mend

SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Names of picture files end so, whatever the case; where several have one stem, the first of these is meant."""

LONGEST = 200
"""How many times as long as wide a picture may be: beyond it Qwen's processors take none, and others see nothing."""

_MODERATE = 1024
"""Longer side to which pictures are scaled down where they are only shown, in pixels."""

_ORIENTATION = 0x0112
_SEVERAL = ("MPO",)
"""Formats that hold further pictures which viewers do not show: phones' depth maps and previews."""

_READING = b"as viewers show it"
"""Added to the digest of a file that is not read pixel by pixel as it stands: earlier versions read it otherwise."""


def open_picture(path: Path) -> Image.Image:
    """The picture at ``path`` as viewers show it, in RGB; raises `DataError` naming the file."""
    try:
        with _opened(path.read_bytes()) as image:
            return _shown(image)
    except Exception as error:  # decoders raise all kinds of exception on damaged files
        raise _refusal(path, error) from None


def inside(folder: Path, name: str) -> Path:
    """The file of that name in ``folder``; raises `DataError` if it leads out of it or is not there."""
    try:
        path = (folder / name).resolve()
        found = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        found = False
    if not found:
        raise DataError(f"picture {name!r} is not in {folder}; give the data's folder with --data")
    return path


def picture_of(path: Path) -> Image.Image:
    """A file as a picture of moderate size; raises `DataError` if it is none."""
    picture = open_picture(path)
    picture.thumbnail((_MODERATE, _MODERATE))
    return picture


def picture_digests(paths: Iterable[Path]) -> list[bytes]:
    """SHA-256 of each picture file, in order, after decoding it: no later step meets one that it cannot read."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_digest, paths))


def _digest(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        with Image.open(BytesIO(data)) as image:
            image.verify()  # checksums, in formats that have them
        with _opened(data) as image:
            plain = _is_plain(image)
            if plain:
                image.draft("RGB", (64, 64))  # a JPEG is still read to its end, but few of its pixels are computed
                image.load()
            else:
                _shown(image)
    except Exception as error:  # as above
        raise _refusal(path, error) from None
    return hashlib.sha256(data if plain else data + _READING).digest()


def _opened(data: bytes) -> Image.Image:
    """The picture of a file, its head read; raises ValueError for one that viewers show in different ways."""
    image = Image.open(BytesIO(data))
    if getattr(image, "n_frames", 1) > 1 and image.format not in _SEVERAL:
        raise ValueError(f"it holds {image.n_frames} pictures, and one is wanted: save that one alone")  # type: ignore[attr-defined]
    short, long = sorted(image.size)
    if long > LONGEST * short:
        raise ValueError(f"{image.width} x {image.height} pixels are too long and thin to be seen: crop or pad it")
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError("its pixels are numbers of 32 bits, for which no brightness is agreed: save it with 8 or 16")
    return image


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # a damaged EXIF block: viewers show the picture as it stands
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _is_plain(image: Image.Image) -> bool:
    """Whether the file's pixels are shown as they stand."""
    deep = image.mode == "I" or image.mode.startswith("I;16")
    return not deep and not image.has_transparency_data and _orientation(image) == 1


def _shown(image: Image.Image) -> Image.Image:
    image.load()
    with suppress(Exception):  # as in `_orientation`
        image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of 16 bits a pixel in 8, by the rule of viewers; a colour that stands for nothing stays so."""
    import numpy as np

    values = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8), "L")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8), "L"))
    return grey


def _refusal(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"picture {path} does not exist: put it back")
    reason = "not an image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
    return DataError(f"picture {path} cannot be decoded ({reason or type(error).__name__}): {mend(path, 'replace it')}")
