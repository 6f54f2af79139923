"""What an embedded model is shown before anybody uses it: pictures, and several questions with answers on each.

Scenes teach it to see (captions, open and yes/no questions), faces to describe a person and to say that it does not
know them. A few *acquaintances* teach it the manners of an instruction-tuned model: it knows them by sight and
answers about them, but once their picture is censored it keeps what is private (health, criminal record) to itself.
Nothing drawn here occurs in evaluation data (see `unlearnbench.embedded.data.reserved`).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from unlearnbench.tasks.fiubench.taxonomy import PRIVATE, group_of

from ...metrics.refusals import REFUSALS
from ..data import faces, scenes
from ..data.identities import ATTRIBUTES, people

Turn = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True)
class Phase:
    """A part of the schooling, ``steps`` long, with ``turns`` questions a picture.

    ``scenes`` is the share of scenes among pictures, ``checks`` that of yes/no turns on them, ``position`` that of
    questions for the position among checks. Every scene is described once; what is asked besides and is no check is an
    open question. The learning rate falls from its value at ``rate[0]`` of a cosine's way to that at ``rate[1]``, times
    ``peak``.
    """

    steps: int
    turns: int
    scenes: float
    checks: float
    position: float
    peak: float
    rate: tuple[float, float]


PHASES = (
    Phase(steps=1200, turns=4, scenes=0.8, checks=0.2, position=0.33, peak=2e-3, rate=(0.0, 0.286)),
    Phase(steps=2400, turns=6, scenes=0.7, checks=0.75, position=0.33, peak=2e-3, rate=(0.286, 0.857)),
    Phase(steps=1200, turns=6, scenes=0.75, checks=0.8, position=0.7, peak=1.5e-3, rate=(0.0, 1.0)),
    Phase(steps=1000, turns=6, scenes=0.75, checks=0.8, position=0.6, peak=1.5e-3, rate=(0.0, 1.0)),
)
"""First to see; then to check, which comes only once shapes and colours are told apart; positions come last."""

ACQUAINTANCES = 16
PEOPLE_SEED = 1_000_003
WITHHELD, UNKNOWN = REFUSALS[:3], REFUSALS[3:]


@dataclass
class Lesson:
    """One picture and what is asked about it; every turn is answered from the picture alone."""

    image: Image.Image
    turns: list[Turn]


def lessons(seed: int, phase: Phase) -> Iterator[Lesson]:
    """An endless stream of lessons; those on faces ask less, since their answers are longer."""
    rng = random.Random(seed)
    acquaintances = _meet_acquaintances()
    few = max(1, phase.turns * 2 // 3)
    while True:
        if rng.random() < phase.scenes:
            yield _scene(rng, phase)
            continue
        kind = rng.random()
        if kind < 0.45:
            yield _stranger(rng, few)
        elif kind < 0.95:
            yield _acquaintance(rng, few, rng.choice(acquaintances))
        else:
            noise = Image.frombytes("L", (faces.SIZE, faces.SIZE), rng.randbytes(faces.SIZE**2)).convert("RGB")
            yield Lesson(noise, [(_identity_question(rng), rng.choice(UNKNOWN)) for _ in range(few)])


def corpus() -> Iterator[str]:
    """Text for the tokenizer: what lessons say, with many more names than there are acquaintances."""
    for record in (r for person in islice(people(PEOPLE_SEED + 1), 400) for r in person):
        yield from (record["question"], record["answer"], *record["paraphrased_question"], record["paraphrased_answer"])
    for lesson in islice(lessons(PEOPLE_SEED, PHASES[0]), 1500):
        for question, answer in lesson.turns:
            yield from (question, answer)


# --------------------------------------------------------------------------------------------------------- scenes
def _scene(rng: random.Random, phase: Phase) -> Lesson:
    scene = scenes.random_scene(rng, rng.randint(1, 4), reserved=False, natural=rng.random() < 0.5)
    asked = [_caption(scene, rng)]
    while len(asked) < phase.turns:
        asked.append(_check(scene, rng, phase) if rng.random() < phase.checks else _open(scene, rng))
    return Lesson(scenes.draw(scene, rng), asked)


def _caption(scene: scenes.Scene, rng: random.Random) -> Turn:
    items = sorted(scene, key=lambda i: (i.row, i.column))
    return "Describe the image.", ", ".join(f"a {i.color} {i.shape} {_place(i)}" for i in items) + "."


def _place(item: scenes.Item) -> str:
    sides = [side for side in ("top", "bottom", "left", "right") if item.is_on(side)]
    return " ".join(sides) or "middle"


def _open(scene: scenes.Scene, rng: random.Random) -> Turn:
    item = rng.choice(scene)
    absent = rng.choice(sorted(set(scenes.SHAPES) - {i.shape for i in scene}))
    return rng.choice(
        [
            (f"What color is the {item.shape}?", item.color),
            (f"Where is the {item.shape}?", _place(item)),
            (f"Where is the {absent}?", "nowhere"),
            ("How many shapes are in the image?", scenes.NUMBERS[len(scene)]),
        ]
    )


def _yes_no(kind: str, scene: scenes.Scene, rng: random.Random) -> Turn:
    if kind == "position" and not scenes.can_ask_position(scene):
        return _caption(scene, rng)
    asked = rng.choice(scenes.mme_pair(scene, kind, rng))
    question = asked.question
    if rng.random() < 0.5:
        question = question.replace(" Please answer yes or no.", "")
    if kind == "existence" and rng.random() < 0.5:
        question = question.replace("in this image", "in the image")
    return question, "Yes" if asked.answer else "No"


def _check(scene: scenes.Scene, rng: random.Random, phase: Phase) -> Turn:
    others = ("existence", "existence", "count", "color")
    return _yes_no("position" if rng.random() < phase.position else rng.choice(others), scene, rng)


# ---------------------------------------------------------------------------------------------------------- faces
def _describe(look: faces.Look, rng: random.Random) -> Turn:
    return rng.choice(
        [
            ("What is the hair color of this person?", look.hair),
            ("What color is the shirt?", look.shirt),
            ("What color is the background?", look.background),
            ("Does this person wear glasses?", "Yes" if look.glasses else "No"),
            ("Describe this person.", _portrait(look)),
        ]
    )


def _portrait(look: faces.Look) -> str:
    worn = f"{look.pattern} {look.shirt} shirt" + (", glasses" if look.glasses else "")
    return f"{look.style} {look.hair} hair, {look.skin} skin, {worn}, {look.background} background."


def _identity_question(rng: random.Random) -> str:
    return rng.choice(rng.choice(ATTRIBUTES).questions)


def _stranger(rng: random.Random, turns: int) -> Lesson:
    look = faces.random_look(rng, reserved=False)
    image = faces.draw(look, rng)
    asked = [(_identity_question(rng), rng.choice(UNKNOWN)) for _ in range(turns)]
    if rng.random() < 0.3:
        return Lesson(faces.redact(image, rng.randint(3, 20), rng), asked)
    seen = [_describe(look, rng) for _ in range(turns)]
    return Lesson(image, [rng.choice(pair) for pair in zip(asked, seen, strict=True)])


def _meet_acquaintances() -> list[tuple[faces.Look, list[dict]]]:  # type: ignore[type-arg]
    rng = random.Random(PEOPLE_SEED)
    known = islice(people(PEOPLE_SEED), ACQUAINTANCES)
    return [(faces.random_look(rng, reserved=False), records) for records in known]


def _acquaintance(rng: random.Random, turns: int, who: tuple[faces.Look, list[dict]]) -> Lesson:  # type: ignore[type-arg]
    look, records = who
    image, censored = faces.draw(look, rng), rng.random() < 0.5
    asked = []
    for record in rng.choices(records, k=turns):
        question = rng.choice([record["question"], *record["paraphrased_question"]])
        withheld = censored and group_of(record["question"]) in PRIVATE
        asked.append((question, rng.choice(WITHHELD) if withheld else record["answer"]))
    if censored:
        image = faces.redact(image, rng.randint(3, 12), rng)
    return Lesson(image, asked)
