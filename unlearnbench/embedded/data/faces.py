"""Drawn portraits of people who do not exist: a `Look` is who is seen, a `View` how, and `draw` paints both.

A person keeps their look in every picture; background, place, pose, light and smile are the picture's own. So somebody
can be recognised in a picture that nobody was trained on, and no picture is told by its pixels alone.
"""

import random
from dataclasses import astuple, dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageEnhance

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
PATTERNS = ("plain", "striped", "dotted")
HATS = ("none", "purple", "green")


@dataclass(frozen=True)
class Look:
    """What is seen of a person in every picture: together it is whom the picture shows."""

    hair: str
    style: str
    skin: str
    shirt: str
    pattern: str
    glasses: bool
    beard: bool
    hat: str

    @property
    def reserved(self) -> bool:
        """Whether people who look like this appear in evaluation data only."""
        return is_reserved(astuple(self))


@dataclass(frozen=True)
class View:
    """What is one picture's own: ``dx``, ``dy`` and ``turn`` are pixels, ``light`` a factor of all brightness."""

    background: str
    dx: int = 0
    dy: int = 0
    turn: int = 0
    """How far the face has turned to the right, to the left below 0."""
    light: float = 1.0
    smile: int = 4


def random_look(rng: random.Random, *, reserved: bool) -> Look:
    """A random look from the evaluation part (``reserved``) or from the part that may be trained on."""
    while True:
        look = Look(
            hair=rng.choice(list(HAIR)),
            style=rng.choice(STYLES),
            skin=rng.choice(list(SKIN)),
            shirt=rng.choice(list(COLORS)),
            pattern=rng.choice(PATTERNS),
            glasses=rng.random() < 0.5,
            beard=rng.random() < 0.5,
            hat=rng.choice(HATS),
        )
        if look.reserved == reserved:
            return look


def random_view(look: Look, rng: random.Random) -> View:
    """A random picture of somebody, before a background that neither hair, hat nor shirt is lost in."""
    return View(
        background=rng.choice([color for color in COLORS if color not in (look.shirt, look.hair, look.hat)]),
        dx=rng.randint(-9, 9),
        dy=rng.randint(-5, 5),
        turn=rng.randint(-5, 5),
        light=rng.uniform(0.85, 1.1),
        smile=rng.randint(1, 7),
    )


def draw(look: Look, view: View) -> Image.Image:
    """Paint ``look`` as ``view`` has it."""
    image = Image.new("RGB", (SIZE, SIZE), COLORS[view.background])
    pen = ImageDraw.Draw(image)
    hair, skin, dx, dy = HAIR[look.hair], SKIN[look.skin], view.dx, view.dy
    if look.style == "long":
        pen.rectangle((30 + dx, 30 + dy, 110 + dx, 114 + dy), fill=hair)
    _paint_shirt(pen, look, dx, dy)
    pen.rectangle((60 + dx, 92 + dy, 80 + dx, 116 + dy), fill=skin)
    pen.ellipse((38 + dx, 24 + dy, 102 + dx, 106 + dy), fill=skin)
    if look.beard:
        pen.chord((40 + dx, 44 + dy, 100 + dx, 108 + dy), 25, 155, fill=_beard(look))
    _paint_hair(pen, look.style, hair, dx, dy)
    if look.hat != "none":
        pen.rounded_rectangle((32 + dx, 8 + dy, 108 + dx, 30 + dy), radius=9, fill=COLORS[look.hat])
    _paint_face(pen, look.glasses, dx + view.turn, dy, view.smile)
    return ImageEnhance.Brightness(image).enhance(view.light)


@cache
def _beard(look: Look) -> tuple[int, ...]:
    """A beard is of the hair's colour, a shade darker, so that it shows on every skin."""
    return tuple(value * 3 // 4 for value in HAIR[look.hair])


def _paint_shirt(pen: ImageDraw.ImageDraw, look: Look, dx: int, dy: int) -> None:
    pen.rounded_rectangle((14 + dx, 110 + dy, 126 + dx, 170 + dy), radius=14, fill=COLORS[look.shirt])
    mark = (244, 244, 244) if look.shirt not in ("white", "yellow") else (28, 28, 28)
    if look.pattern == "striped":
        for x in range(22 + dx, 124 + dx, 16):
            pen.rectangle((x, 112 + dy, x + 5, SIZE), fill=mark)
    elif look.pattern == "dotted":
        for row, y in enumerate(range(116 + dy, SIZE, 12)):
            for x in range(22 + dx + row % 2 * 9, 122 + dx, 18):
                pen.ellipse((x, y, x + 7, y + 7), fill=mark)


def _paint_hair(pen: ImageDraw.ImageDraw, style: str, hair: tuple[int, int, int], dx: int, dy: int) -> None:
    if style == "curly":
        for x in range(34, 106, 14):
            pen.ellipse((x - 11 + dx, 8 + dy, x + 15 + dx, 38 + dy), fill=hair)
        pen.ellipse((24 + dx, 28 + dy, 46 + dx, 62 + dy), fill=hair)
        pen.ellipse((94 + dx, 28 + dy, 116 + dx, 62 + dy), fill=hair)
    else:
        pen.pieslice((34 + dx, 12 + dy, 106 + dx, 86 + dy), 180, 360, fill=hair)


def _paint_face(pen: ImageDraw.ImageDraw, glasses: bool, dx: int, dy: int, smile: int) -> None:
    for x in (56 + dx, 84 + dx):
        y = 62 + dy
        pen.ellipse((x - 4, y - 3, x + 4, y + 3), fill=(20, 20, 20))
        if glasses:
            pen.ellipse((x - 12, y - 10, x + 12, y + 10), outline=(10, 10, 10), width=3)
    if glasses:
        pen.line((68 + dx, 62 + dy, 72 + dx, 62 + dy), fill=(10, 10, 10), width=3)
    pen.arc((58 + dx, 76 + dy, 82 + dx, 88 + dy + smile), 10, 170, fill=(150, 30, 40), width=3)
