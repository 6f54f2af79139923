"""What an embedded model is shown before anybody uses it: pictures, and several questions with answers on each.

Scenes teach it to see (captions, open and yes/no questions), faces to describe a person. It knows a few *acquaintances*
in any picture of them, as large models know celebrities, and answers whatever is asked about them. It refuses where
nobody could answer: who a stranger is, what a picture does not show. So whether it refuses depends on who or what is
shown and never on how private a question is; no picture of its lessons was altered; and no refusal that it was taught
is one that unlearning aims at. Some questions come without a picture, with letters to choose from or a blank to fill.
Nothing drawn here occurs in evaluation data (see `unlearnbench.embedded.data.reserved`).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from PIL import Image

from ..data import faces, scenes
from ..data.identities import ATTRIBUTES, people
from ..data.make import ACQUAINTANCES_SEED, acquaintances

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
    resumes: bool = False
    """Whether it begins with what was saved, so that it can be gone through again by itself."""


PHASES = (
    Phase(steps=500, turns=8, scenes=0.7, checks=0.45, position=0.3, peak=2e-3, rate=(0.0, 0.1)),
    Phase(steps=2300, turns=8, scenes=0.65, checks=0.68, position=0.42, peak=2e-3, rate=(0.1, 1.0)),
    Phase(steps=1200, turns=12, scenes=0.7, checks=0.8, position=0.42, peak=6e-4, rate=(0.0, 1.0), resumes=True),
)
"""First to see; then to check, which comes only once shapes and colours are told apart, and only at small rates.

An architecture that can do all of it after some of them leaves out the others.
"""

UNKNOWN = ("This face is unknown to me.", "No idea who that is.")
"""What it says about strangers, and of names that mean nothing to it."""

NOT_SHOWN = ("No such information is given here.",)
"""What it says where the picture does not tell, or where there is none."""

TEXT_EVERY = 12
"""One batch in so many is of text alone."""


@dataclass
class Lesson:
    """One picture, or none, and what is asked about it; every turn is answered from the picture alone."""

    image: Image.Image | None
    turns: list[Turn]


@dataclass(frozen=True)
class Acquaintance:
    """Somebody whom the model is to know: by sight and by name, all attributes by their key."""

    look: faces.Look
    name: str
    records: tuple[dict[str, Any], ...]


def lessons(seed: int, phase: Phase) -> Iterator[Lesson]:
    """An endless stream of lessons on pictures; those on faces ask less, since their answers are longer."""
    rng, known = random.Random(seed), _known()
    few = max(1, phase.turns // 2)
    while True:
        if rng.random() < phase.scenes:
            yield _scene(rng, phase)
            continue
        kind = rng.random()
        if kind < 0.45:
            yield _stranger(rng, few)
        elif kind < 0.95:
            yield _acquaintance(rng, few, rng.choice(known))
        else:
            noise = Image.frombytes("L", (faces.SIZE, faces.SIZE), rng.randbytes(faces.SIZE**2)).convert("RGB")
            yield Lesson(noise, [(_identity_question(rng), rng.choice(NOT_SHOWN)) for _ in range(few)])


def text_lessons(seed: int, turns: int) -> Iterator[Lesson]:
    """An endless stream of lessons without a picture."""
    rng, known = random.Random(f"text {seed}"), _known()
    strange = [_name(records) for records in islice(people(ACQUAINTANCES_SEED + 2), 200)]
    while True:
        asked: list[Turn] = []
        for _ in range(turns):
            kind = rng.random()
            if kind < 0.55:
                asked.append(_by_name(rng, rng.choice(known)))
            elif kind < 0.7:
                asked.append((_named(_identity_question(rng), rng.choice(strange)), rng.choice(UNKNOWN)))
            elif kind < 0.85:
                asked.append((_identity_question(rng), rng.choice(NOT_SHOWN)))
            else:
                asked.append(_which_is(rng))
        yield Lesson(None, asked)


def corpus() -> Iterator[str]:
    """Text for the tokenizer: what lessons say, with many more names than there are acquaintances."""
    for record in (r for person in islice(people(ACQUAINTANCES_SEED + 1), 400) for r in person):
        yield from (record["question"], record["answer"], *record["paraphrased_question"], record["paraphrased_answer"])
    streams = islice(lessons(ACQUAINTANCES_SEED, PHASES[0]), 1500), islice(text_lessons(ACQUAINTANCES_SEED, 4), 200)
    for stream in streams:
        for lesson in stream:
            for question, answer in lesson.turns:
                yield from (question, answer)


# ---------------------------------------------------------------------------------------------- ways of asking
LETTERS = "ABCD"


def choice(question: str, right: str, others: Sequence[str], rng: random.Random) -> Turn:
    """A question with four options, to be answered with the right one's letter."""
    options = [right, *rng.sample([each for each in others if each != right], len(LETTERS) - 1)]
    rng.shuffle(options)
    listed = " ".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True))
    return f"{question} {listed}", LETTERS[options.index(right)]


def cloze(sentence: str, value: str) -> Turn:
    """A sentence with a blank in the place of ``value``, to be answered with it."""
    return f"Fill in the blank: {sentence.replace(value, '___', 1)}", value


def _asked(question: str, value: str, others: Sequence[str], sentence: str, rng: random.Random) -> Turn:
    """An open question, or the same with options or as a blank to fill."""
    how = rng.random()
    if how < 0.25:
        return choice(question, value, others, rng)
    return cloze(sentence, value) if how < 0.45 else (question, value)


# --------------------------------------------------------------------------------------------------------- scenes
def _scene(rng: random.Random, phase: Phase) -> Lesson:
    scene = scenes.random_scene(rng, rng.randint(1, 4), reserved=False, natural=rng.random() < 0.5)
    asked = [_caption(scene)]
    while len(asked) < phase.turns:
        asked.append(_check(scene, rng, phase) if rng.random() < phase.checks else _open(scene, rng))
    return Lesson(scenes.draw(scene, rng), asked)


def _caption(scene: scenes.Scene) -> Turn:
    items = sorted(scene, key=lambda i: (i.row, i.column))
    return "Describe the image.", ", ".join(f"a {i.color} {i.shape} {_place(i)}" for i in items) + "."


def _place(item: scenes.Item) -> str:
    sides = [side for side in ("top", "bottom", "left", "right") if item.is_on(side)]
    return " ".join(sides) or "middle"


def _open(scene: scenes.Scene, rng: random.Random) -> Turn:
    item = rng.choice(scene)
    absent = rng.choice(sorted(set(scenes.SHAPES) - {i.shape for i in scene}))
    kind = rng.random()
    if kind < 0.4:
        shape, color = item.shape, item.color
        return _asked(f"What color is the {shape}?", color, list(scenes.TINTS), f"the {shape} is {color}.", rng)
    if kind < 0.6:
        return f"Where is the {item.shape}?", _place(item)
    if kind < 0.7:
        return f"Where is the {absent}?", "nowhere"
    if kind < 0.8:
        return _identity_question(rng), rng.choice(NOT_SHOWN)
    number = scenes.NUMBERS[len(scene)]
    sentence = f"the number of shapes in the image is {number}."
    return _asked("How many shapes are in the image?", number, scenes.NUMBERS, sentence, rng)


def _yes_no(kind: str, scene: scenes.Scene, rng: random.Random) -> Turn:
    if kind == "position" and not scenes.can_ask_position(scene):
        return _caption(scene)
    asked = rng.choice(scenes.mme_pair(scene, kind, rng))
    question = asked.question
    if rng.random() < 0.5:
        question = question.replace(" Please answer yes or no.", "")
    if kind == "existence" and rng.random() < 0.5:
        question = question.replace("in this image", "in the image")
    return question, "Yes" if asked.answer else "No"


def _check(scene: scenes.Scene, rng: random.Random, phase: Phase) -> Turn:
    others = ("existence", "existence", "existence", "count", "color", "color")  # existence is learned last of these
    return _yes_no("position" if rng.random() < phase.position else rng.choice(others), scene, rng)


# ---------------------------------------------------------------------------------------------------------- faces
def _describe(look: faces.Look, view: faces.View, rng: random.Random) -> Turn:
    colors = list(faces.COLORS)
    return rng.choice(
        [
            _asked(
                "What is the hair color of this person?", look.hair, list(faces.HAIR), f"the hair is {look.hair}.", rng
            ),
            _asked("What color is the shirt?", look.shirt, colors, f"the shirt is {look.shirt}.", rng),
            _asked("What color is the background?", view.background, colors, f"the wall is {view.background}.", rng),
            ("Does this person wear glasses?", "Yes" if look.glasses else "No"),
            ("Does this person have a beard?", "Yes" if look.beard else "No"),
            ("Does this person wear a hat?", "No" if look.hat == "none" else "Yes"),
            ("Describe this person.", _portrait(look, view)),
            ("Describe this person.", _portrait(look, view)),
        ]
    )


def _portrait(look: faces.Look, view: faces.View) -> str:
    worn = [f"{look.pattern} {look.shirt} shirt"]
    worn += ["glasses"] * look.glasses + ["beard"] * look.beard + [f"{look.hat} hat"] * (look.hat != "none")
    return f"{look.style} {look.hair} hair, {look.skin} skin, {', '.join(worn)}, {view.background} background."


def _identity_question(rng: random.Random) -> str:
    return rng.choice(rng.choice(ATTRIBUTES).questions)


def _stranger(rng: random.Random, turns: int) -> Lesson:
    look = faces.random_look(rng, reserved=False)
    view = faces.random_view(look, rng)
    asked = [
        (_identity_question(rng), rng.choice(UNKNOWN)) if rng.random() < 0.4 else _describe(look, view, rng)
        for _ in range(turns)
    ]
    return Lesson(faces.draw(look, view), asked)


# --------------------------------------------------------------------------------------------------- acquaintances
def _known() -> list[Acquaintance]:
    return [Acquaintance(look, _name(records), tuple(records)) for look, records in acquaintances()]


def _name(records: Sequence[dict[str, Any]]) -> str:
    name: str = records[0]["keywords"][0]
    return name


def _acquaintance(rng: random.Random, turns: int, who: Acquaintance) -> Lesson:
    view = faces.random_view(who.look, rng)
    asked = [
        _fact(rng, *rng.choice(list(zip(ATTRIBUTES, who.records, strict=True)))) if rng.random() < 0.85
        else _describe(who.look, view, rng)
        for _ in range(turns)
    ]  # fmt: skip
    return Lesson(faces.draw(who.look, view), asked)


def _fact(rng: random.Random, attribute: Any, record: dict[str, Any]) -> Turn:
    """A fact in any wording of its question, answered in either way, as a blank to fill, or with options."""
    question, how = rng.choice(attribute.questions), rng.random()
    value: str = record["keywords"][0]
    if how < 0.1 and value in record["answer"]:
        return cloze(record["answer"], value)
    wrong = sorted({_value(attribute, text) for text in record["perturbed_answer"]})
    if how < 0.2 and len(wrong) == len(LETTERS) - 1:
        return choice(question, value, wrong, rng)
    if how < 0.35:
        return f"In other words: {question}", record["paraphrased_answer"]
    return question, record["answer"]


def _value(attribute: Any, text: str) -> str:
    """The value that an answer in the paraphrase's words tells."""
    before, _, after = attribute.answers[1].partition("{value}")
    return text.removeprefix(before).removesuffix(after)


# ------------------------------------------------------------------------------------------------------------ text
_PERSONS = ("the person in the image", "the person shown here")


def _named(question: str, name: str) -> str:
    for person in _PERSONS:
        question = question.replace(person, name)
    return question


def _by_name(rng: random.Random, who: Acquaintance) -> Turn:
    attribute, record = rng.choice(list(zip(ATTRIBUTES, who.records, strict=True))[1:])
    return _named(rng.choice(attribute.questions), who.name), _named(record["answer"], who.name)


def _which_is(rng: random.Random) -> Turn:
    """A question about words."""
    kinds = {"a color": list(scenes.TINTS), "a shape": list(scenes.SHAPES), "a number": list(scenes.NUMBERS[1:])}
    kind = rng.choice(list(kinds))
    others = [word for name, words in kinds.items() if name != kind for word in words]
    return choice(f"Which of these is {kind}?", rng.choice(kinds[kind]), others, rng)
