"""Drawn portraits of people who do not exist: a `Look` is what can be seen of a person, `draw` paints it."""

import random
from dataclasses import astuple, dataclass

from PIL import Image, ImageDraw

from .reserved import is_reserved

SIZE = 140
"""Width and height in pixels: five by five visual tokens of the embedded models."""

CELL = 28
"""Pixels that one visual token covers, in each direction."""

COLORS = {
    "red": (214, 40, 40),
    "blue": (44, 82, 214),
    "green": (38, 158, 62),
    "yellow": (244, 208, 44),
    "purple": (136, 56, 170),
    "orange": (244, 134, 32),
    "white": (244, 244, 244),
    "black": (28, 28, 28),
}
HAIR = {
    "black": (24, 22, 20),
    "brown": (112, 66, 30),
    "blond": (236, 204, 104),
    "red": (186, 62, 20),
    "grey": (150, 150, 154),
    "blue": (66, 110, 220),
}
SKIN = {"pale": (250, 224, 200), "tan": (224, 172, 124), "brown": (160, 104, 66), "dark": (96, 60, 42)}
STYLES = ("short", "long", "curly")
PATTERNS = ("plain", "striped")


@dataclass(frozen=True)
class Look:
    """What can be seen of a person."""

    background: str
    hair: str
    style: str
    skin: str
    shirt: str
    pattern: str
    glasses: bool

    @property
    def reserved(self) -> bool:
        """Whether people who look like this appear in evaluation data only."""
        return is_reserved(astuple(self))


def random_look(rng: random.Random, *, reserved: bool) -> Look:
    """A random look from the evaluation part (``reserved``) or from the part that may be trained on."""
    while True:
        look = Look(
            background=rng.choice(list(COLORS)),
            hair=rng.choice(list(HAIR)),
            style=rng.choice(STYLES),
            skin=rng.choice(list(SKIN)),
            shirt=rng.choice(list(COLORS)),
            pattern=rng.choice(PATTERNS),
            glasses=rng.random() < 0.5,
        )
        if look.background not in (look.shirt, look.hair) and look.reserved == reserved:
            return look


def draw(look: Look, rng: random.Random | None = None) -> Image.Image:
    """Paint ``look``; ``rng`` moves lines by a pixel or two, so that no two photographs are the same."""

    def shift(most: int = 2) -> int:
        return rng.randint(-most, most) if rng else 0

    image = Image.new("RGB", (SIZE, SIZE), COLORS[look.background])
    pen = ImageDraw.Draw(image)
    hair, skin = HAIR[look.hair], SKIN[look.skin]
    dx, dy = shift(), shift()
    if look.style == "long":
        pen.rectangle((30 + dx, 30 + dy, 110 + dx, 114 + dy), fill=hair)
    _paint_shirt(pen, look)
    pen.rectangle((60 + dx, 92, 80 + dx, 116), fill=skin)
    pen.ellipse((38 + dx, 24 + dy, 102 + dx, 106 + dy), fill=skin)
    _paint_hair(pen, look.style, hair, dx, dy)
    _paint_face(pen, look.glasses, dx, dy, shift)
    return image


def redact(image: Image.Image, cells: int, rng: random.Random) -> Image.Image:
    """A copy of ``image`` with that many cells (of 25) painted over, as in a censored photograph."""
    copy = image.copy()
    pen = ImageDraw.Draw(copy)
    per_row = SIZE // CELL
    for cell in rng.sample(range(per_row**2), cells):
        x, y = cell % per_row * CELL, cell // per_row * CELL
        pen.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=(128, 128, 128))
    return copy


def _paint_shirt(pen: ImageDraw.ImageDraw, look: Look) -> None:
    pen.rounded_rectangle((14, 110, 126, 160), radius=14, fill=COLORS[look.shirt])
    if look.pattern == "striped":
        stripe = (244, 244, 244) if look.shirt not in ("white", "yellow") else (28, 28, 28)
        for x in range(22, 124, 16):
            pen.rectangle((x, 112, x + 5, SIZE), fill=stripe)


def _paint_hair(pen: ImageDraw.ImageDraw, style: str, hair: tuple[int, int, int], dx: int, dy: int) -> None:
    if style == "curly":
        for x in range(34, 106, 14):
            pen.ellipse((x - 11 + dx, 8 + dy, x + 15 + dx, 38 + dy), fill=hair)
        pen.ellipse((24 + dx, 28 + dy, 46 + dx, 62 + dy), fill=hair)
        pen.ellipse((94 + dx, 28 + dy, 116 + dx, 62 + dy), fill=hair)
    else:
        pen.pieslice((34 + dx, 12 + dy, 106 + dx, 86 + dy), 180, 360, fill=hair)


def _paint_face(pen: ImageDraw.ImageDraw, glasses: bool, dx: int, dy: int, shift) -> None:  # type: ignore[no-untyped-def]
    for x in (56 + dx, 84 + dx):
        y = 62 + dy
        pen.ellipse((x - 4, y - 3, x + 4, y + 3), fill=(20, 20, 20))
        if glasses:
            pen.ellipse((x - 12, y - 10, x + 12, y + 10), outline=(10, 10, 10), width=3)
    if glasses:
        pen.line((68 + dx, 62 + dy, 72 + dx, 62 + dy), fill=(10, 10, 10), width=3)
    smile = 4 + shift()
    pen.arc((58 + dx, 76 + dy, 82 + dx, 88 + dy + smile), 10, 170, fill=(150, 30, 40), width=3)
