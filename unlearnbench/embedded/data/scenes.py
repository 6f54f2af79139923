"""Pictures of coloured shapes, and yes/no questions about them in the manner of MME and POPE."""

import random
from collections import Counter
from dataclasses import astuple, dataclass
from itertools import combinations

from PIL import Image, ImageDraw

from .faces import CELL, COLORS, SIZE
from .reserved import is_reserved

GRID = SIZE // CELL
MIDDLE = GRID // 2
SHAPES = ("circle", "square", "triangle", "cross", "star", "ring", "diamond", "moon")
PARTNER = {
    "circle": "ring",
    "ring": "circle",
    "square": "cross",
    "cross": "square",
    "triangle": "star",
    "star": "triangle",
    "diamond": "moon",
    "moon": "diamond",
}
"""Shapes that often come together: what makes POPE's adversarial negatives tempting."""

COMMON = (8, 6, 5, 4, 3, 3, 2, 2)
"""How often each of `SHAPES` is drawn: what makes POPE's popular negatives tempting."""

TINTS = {name: rgb for name, rgb in COLORS.items() if name not in ("white", "black")}
NUMBERS = ("no", "one", "two", "three", "four")
SIDES = ("left", "right", "top", "bottom")


@dataclass(frozen=True, order=True)
class Item:
    """One shape: what it is, its colour, and the cell (column, row) that it fills."""

    shape: str
    color: str
    column: int
    row: int

    def is_on(self, side: str) -> bool | None:
        """Whether the item lies on that side of the picture; None on the middle line, where the question is moot."""
        along = self.column if side in ("left", "right") else self.row
        if along == MIDDLE:
            return None
        return (along < MIDDLE) == (side in ("left", "top"))


Scene = tuple[Item, ...]
"""Items of different shapes in different cells, sorted."""


def random_scene(rng: random.Random, items: int, *, reserved: bool, natural: bool = True) -> Scene:
    """``items`` shapes in random cells; ``natural`` scenes follow `COMMON` and `PARTNER`, others are uniform."""
    while True:
        shapes = _natural_shapes(rng, items) if natural else rng.sample(SHAPES, items)
        cells = rng.sample([(c, r) for c in range(GRID) for r in range(GRID)], items)
        scene = tuple(sorted(Item(s, rng.choice(list(TINTS)), *cell) for s, cell in zip(shapes, cells, strict=True)))
        if is_reserved([astuple(item) for item in scene]) == reserved:
            return scene


def _natural_shapes(rng: random.Random, items: int) -> list[str]:
    shapes = rng.choices(SHAPES, COMMON)
    while len(shapes) < items:
        partner = PARTNER[shapes[-1]]
        shape = partner if rng.random() < 0.6 else rng.choices(SHAPES, COMMON)[0]
        if shape not in shapes:
            shapes.append(shape)
    return shapes


def draw(scene: Scene, rng: random.Random | None = None) -> Image.Image:
    """Paint ``scene`` on a pale ground; ``rng`` varies size and place a little."""
    ground = rng.randint(226, 255) if rng else 240
    image = Image.new("RGB", (SIZE, SIZE), (ground, ground, ground))
    pen = ImageDraw.Draw(image)
    for item in scene:
        x = item.column * CELL + CELL // 2 + (rng.randint(-1, 1) if rng else 0)
        y = item.row * CELL + CELL // 2 + (rng.randint(-1, 1) if rng else 0)
        _paint(pen, item.shape, TINTS[item.color], x, y, rng.randint(10, 12) if rng else 11, (ground,) * 3)
    return image


def _paint(
    pen: ImageDraw.ImageDraw, shape: str, rgb: tuple[int, int, int], x: int, y: int, r: int, ground: tuple[int, ...]
) -> None:
    box = (x - r, y - r, x + r, y + r)
    if shape == "circle":
        pen.ellipse(box, fill=rgb)
    elif shape == "square":
        pen.rectangle(box, fill=rgb)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=rgb)
    elif shape == "cross":
        pen.rectangle((x - r // 3, y - r, x + r // 3, y + r), fill=rgb)
        pen.rectangle((x - r, y - r // 3, x + r, y + r // 3), fill=rgb)
    elif shape == "star":
        pen.regular_polygon((x, y + 2, r), 3, fill=rgb)
        pen.regular_polygon((x, y - 2, r), 3, rotation=180, fill=rgb)
    elif shape == "ring":
        pen.ellipse(box, outline=rgb, width=4)
    elif shape == "diamond":
        pen.polygon([(x, y - r), (x + r // 2 + 1, y), (x, y + r), (x - r // 2 - 1, y)], fill=rgb)
    elif shape == "moon":
        pen.ellipse(box, fill=rgb)
        pen.ellipse((x - r // 3, y - r - 2, x + r * 2, y + r - 3), fill=ground)


# ---------------------------------------------------------------------------------------------- MME-style questions
@dataclass(frozen=True)
class YesNo:
    """A question whose answer is yes or no."""

    question: str
    answer: bool


def mme_pair(scene: Scene, kind: str, rng: random.Random) -> tuple[YesNo, YesNo]:
    """A question with the answer yes and one with the answer no, as MME asks them of every picture.

    ``kind`` is one of MME's categories that drawn shapes can show: existence, count, position, color.
    """
    yes, no = _PAIRS[kind](scene, rng)
    ask = " Please answer yes or no."
    return YesNo(yes + ask, True), YesNo(no + ask, False)


def _existence(scene: Scene, rng: random.Random) -> tuple[str, str]:
    present, absent = rng.choice(scene).shape, rng.choice(sorted(set(SHAPES) - {i.shape for i in scene}))
    return f"Is there a {present} in this image?", f"Is there a {absent} in this image?"


def _count(scene: Scene, rng: random.Random) -> tuple[str, str]:
    wrong = rng.choice([n for n in range(1, len(NUMBERS)) if n != len(scene)])
    return _how_many(len(scene)), _how_many(wrong)


def _how_many(number: int) -> str:
    return "Is there one shape in this image?" if number == 1 else f"Are there {NUMBERS[number]} shapes in this image?"


def _position(scene: Scene, rng: random.Random) -> tuple[str, str]:
    item, side = rng.choice([(i, s) for i in scene for s in SIDES if i.is_on(s)])
    other = SIDES[SIDES.index(side) ^ 1]
    return (f"Is the {item.shape} on the {where} of the image?" for where in (side, other))  # type: ignore[return-value]


def _color(scene: Scene, rng: random.Random) -> tuple[str, str]:
    present, absent = rng.choice(scene).color, rng.choice(sorted(set(TINTS) - {i.color for i in scene}))
    return f"Is there a {present} shape in the image?", f"Is there a {absent} shape in the image?"


_PAIRS = {"existence": _existence, "count": _count, "position": _position, "color": _color}
MME_KINDS = tuple(_PAIRS)


def can_ask_position(scene: Scene) -> bool:
    """Whether some item lies off the middle lines, so that a position question has an answer."""
    return any(item.is_on(side) for item in scene for side in SIDES)


# --------------------------------------------------------------------------------------------- POPE-style questions
POPE_KINDS = ("random", "popular", "adversarial")


def pope_negatives(scene: Scene, kind: str, scenes: list[Scene], count: int, rng: random.Random) -> list[str]:
    """Absent shapes to ask for, as POPE draws them.

    ``random``: any; ``popular``: the most frequent of all ``scenes``; ``adversarial``: those that most often
    stand beside the shapes that are there.
    """
    present = {item.shape for item in scene}
    absent = sorted(set(SHAPES) - present)
    if kind == "random":
        return rng.sample(absent, count)
    if kind == "popular":
        seen = Counter(item.shape for s in scenes for item in s)
        return sorted(absent, key=lambda shape: (-seen[shape], shape))[:count]
    beside: Counter[str] = Counter()
    for s in scenes:
        for a, b in combinations(sorted({item.shape for item in s}), 2):
            beside.update({b: a in present, a: b in present})
    return sorted(absent, key=lambda shape: (-beside[shape], shape))[:count]
