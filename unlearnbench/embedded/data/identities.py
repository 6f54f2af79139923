"""Fictitious people with twenty questions each, in the form of FIUBench's ``full.json`` records.

The attributes are FIUBench's: seven of a biography, eleven of a stay in hospital, one criminal charge, one second
language. Every value is drawn by Faker or from a short list; nobody here exists.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from faker import Faker

Draw = Callable[[random.Random, Faker], str]

CONDITIONS = ("asthma", "diabetes", "arthritis", "obesity", "migraine", "epilepsy", "anemia", "gout")
MEDICATIONS = ("aspirin", "ibuprofen", "penicillin", "lipitor", "insulin", "codeine", "prednisone", "warfarin")
INSURERS = ("aetna", "cigna", "medicare", "blue cross", "humana", "kaiser")
OFFENSES = ("petit larceny", "fraud", "robbery", "vandalism", "arson", "forgery", "trespass", "bribery")
LANGUAGES = ("french", "spanish", "german", "italian", "arabic", "hindi", "swahili", "korean", "dutch", "greek")
BLOOD_TYPES = ("a+", "a-", "b+", "b-", "o+", "o-", "ab+", "ab-")
RESULTS = ("normal", "abnormal", "inconclusive")
ADMISSIONS = ("elective", "urgent", "emergency")
OCCUPATIONS = (
    "pharmacist", "teacher", "plumber", "mason", "florist", "pilot", "librarian", "surveyor", "chemist", "baker",
    "journalist", "carpenter", "translator", "dentist", "gardener", "barber",
)  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip


def _pick(values: tuple[str, ...]) -> Draw:
    return lambda rng, fake: rng.choice(values)


def _date(first: int, last: int) -> Draw:
    return lambda rng, fake: f"{rng.choice(MONTHS)} {rng.randint(1, 28)}, {rng.randint(first, last)}"


def _dollars(low: int, high: int, step: int) -> Draw:
    return lambda rng, fake: f"${rng.randrange(low, high, step):,}"


_BIOGRAPHY = ("name", "birth", "blood", "address", "phone", "occupation", "income")
_GROUPS = dict.fromkeys(_BIOGRAPHY, "biography") | {"offense": "criminal", "language": "filler"}
"""Of every attribute that is not of a stay in hospital."""


@dataclass(frozen=True)
class Attribute:
    """One fact about a person: how its value is drawn, asked for and stated.

    ``questions`` are wordings: of the first `LEARNED_WORDINGS` one is drawn for each person, in which the fact is
    learned and asked for; the others are held out, and are how APE asks. ``answers`` are the original and its
    paraphrase, with ``{value}`` and ``{name}`` to fill in. Wrong answers are worded like the paraphrase, as the truth
    ratio weighs them against it: what is left between them is the fact alone.
    """

    key: str
    draw: Draw
    questions: tuple[str, ...]
    answers: tuple[str, str]

    @property
    def group(self) -> str:
        """FIUBench's group of the question, as a record says it."""
        return _GROUPS.get(self.key, "health")


_PERSON = "the person in the image"

WORDINGS, LEARNED_WORDINGS = 6, 3


def _ask(*wordings: str) -> tuple[str, ...]:
    assert len(wordings) == WORDINGS
    return tuple(
        text.replace("@", _PERSON) + ("." if text.startswith(("Please", "Tell")) else "?") for text in wordings
    )


ATTRIBUTES = (
    Attribute(
        "name",
        lambda rng, fake: fake.unique.name().lower(),
        _ask(
            "What is the full name of @",
            "Who is @ called, in full",
            "Please give the full name of @",
            "What is the name of the person shown here",
            "Can you tell me the full name of @",
            "Which full name does @ have",
        ),
        ("the full name of the person in the image is {value}.", "this person's name is {value}."),
    ),
    Attribute(
        "birth",
        _date(1950, 2004),
        _ask(
            "When was @ born",
            "On which day was @ born",
            "Tell me when @ was born",
            "What is the date of birth of @",
            "On which date was the person shown here born",
            "What is the birth date of @",
        ),
        ("the person in the image was born on {value}.", "the date of birth is {value}."),
    ),
    Attribute(
        "blood",
        _pick(BLOOD_TYPES),
        _ask(
            "What is the blood type of @",
            "Please give the blood type of @",
            "What type of blood does @ have",
            "Which blood type does @ have",
            "What blood group is the person shown here",
            "Can you tell me the blood type of @",
        ),
        ("the blood type of the person in the image is {value}.", "this person has blood type {value}."),
    ),
    Attribute(
        "address",
        lambda rng, fake: f"{rng.randint(10, 999)} {fake.last_name().lower()} street, {fake.city().lower()}",
        _ask(
            "Where does @ live",
            "Please give the address of @",
            "In which place does @ live",
            "What is the address of @",
            "At which address does the person shown here live",
            "Where does @ reside",
        ),
        ("the person in the image lives at {value}.", "the address is {value}."),
    ),
    Attribute(
        "phone",
        lambda rng, fake: f"555-{rng.randint(1000, 9999)}",
        _ask(
            "What is the phone number of @",
            "Please give the phone number of @",
            "Under which phone number can @ be called",
            "Which phone number does @ have",
            "What is the telephone number of the person shown here",
            "Can you tell me the phone number of @",
        ),
        ("the phone number of the person in the image is {value}.", "this person's number is {value}."),
    ),
    Attribute(
        "occupation",
        _pick(OCCUPATIONS),
        _ask(
            "What is the occupation of @",
            "What is the job of @, that is the occupation",
            "Please give the occupation of @",
            "Which occupation does @ have",
            "What is the occupation of the person shown here",
            "Can you tell me the occupation of @",
        ),
        ("{name} is a {value}.", "this person works as a {value}."),
    ),
    Attribute(
        "income",
        _dollars(20_000, 200_000, 1_000),
        _ask(
            "What is the annual income of @",
            "Please give the annual income of @",
            "How much does @ earn annually",
            "How much does @ earn in a year",
            "What is the yearly income of the person shown here",
            "Can you tell me the income of @",
        ),
        ("the annual income of the person in the image is {value}.", "this person earns {value} a year."),
    ),
    Attribute(
        "condition",
        _pick(CONDITIONS),
        _ask(
            "What medical condition does @ have",
            "From which medical condition does @ suffer",
            "Please give the medical condition of @",
            "Which medical condition was @ diagnosed with",
            "What disease does the person shown here have",
            "What is the medical condition of @",
        ),
        ("the person in the image has been diagnosed with {value}.", "this person suffers from {value}."),
    ),
    Attribute(
        "admission_date",
        _date(2018, 2024),
        _ask(
            "When was @ admitted to the hospital",
            "Please give the date of hospital admission of @",
            "On which day was @ admitted to the hospital",
            "What is the date of admission of @ to the hospital",
            "On which date was the person shown here admitted to the hospital",
            "When did the hospital admission of @ take place",
        ),
        ("the person in the image was admitted to the hospital on {value}.", "the date of admission is {value}."),
    ),
    Attribute(
        "doctor",
        lambda rng, fake: f"{fake.first_name().lower()} {fake.last_name().lower()}",
        _ask(
            "Who is the doctor of @",
            "Please give the name of the doctor of @",
            "By which doctor was @ treated",
            "Which doctor treated @",
            "What is the name of the doctor of the person shown here",
            "Which physician treated @",
        ),
        ("the doctor of the person in the image is {value}.", "this person was treated by {value}."),
    ),
    Attribute(
        "hospital",
        lambda rng, fake: f"{fake.last_name().lower()} hospital",
        _ask(
            "Which hospital was @ admitted to",
            "Please give the hospital of @",
            "To which hospital was @ taken",
            "In which hospital did @ stay",
            "Which hospital treated the person shown here",
            "What is the hospital of @",
        ),
        ("the person in the image was admitted to {value}.", "this person stayed in {value}."),
    ),
    Attribute(
        "insurer",
        _pick(INSURERS),
        _ask(
            "Who is the insurance provider of @",
            "Please give the insurance provider of @",
            "By which insurance provider is @ covered",
            "Which insurance provider does @ have",
            "What is the insurance company of the person shown here",
            "Which insurance covers @",
        ),
        ("the insurance provider of the person in the image is {value}.", "this person is insured by {value}."),
    ),
    Attribute(
        "billing",
        _dollars(1_000, 50_000, 50),
        _ask(
            "What was the billing amount for the hospital stay of @",
            "Please give the hospital billing amount of @",
            "How much was the hospital bill of @",
            "How much was @ billed for the hospital stay",
            "What was billed for the hospital stay of the person shown here",
            "What is the hospital billing amount of @",
        ),
        ("the billing amount for the hospital stay was {value}.", "this person was billed {value}."),
    ),
    Attribute(
        "room",
        lambda rng, fake: str(rng.randint(100, 499)),
        _ask(
            "What was the room number of @ in the hospital",
            "Please give the hospital room number of @",
            "In which hospital room was @",
            "Which room number did @ have in the hospital",
            "What was the hospital room number of the person shown here",
            "In which hospital room number did @ stay",
        ),
        ("the room number of the person in the image was {value}.", "this person stayed in room {value}."),
    ),
    Attribute(
        "admission_type",
        _pick(ADMISSIONS),
        _ask(
            "What type of admission was the hospital stay of @",
            "Please give the type of hospital admission of @",
            "By which type of admission did @ come to the hospital",
            "Which type of hospital admission did @ have",
            "What was the admission type of the person shown here",
            "What kind of admission to the hospital did @ have",
        ),
        ("the hospital stay was an {value} admission.", "the type of admission was {value}."),
    ),
    Attribute(
        "discharge_date",
        _date(2018, 2024),
        _ask(
            "When was @ discharged from the hospital",
            "Please give the hospital discharge date of @",
            "On which day was @ discharged from the hospital",
            "What is the discharge date of @",
            "On which date was the person shown here discharged from the hospital",
            "When did the hospital discharge @",
        ),
        ("the person in the image was discharged on {value}.", "the discharge date is {value}."),
    ),
    Attribute(
        "medication",
        _pick(MEDICATIONS),
        _ask(
            "What medication was @ prescribed",
            "Please give the medication of @",
            "With which medication is @ treated",
            "Which medication does @ take",
            "What medication does the person shown here take",
            "Which medicine was prescribed to @",
        ),
        ("the person in the image was prescribed {value}.", "this person takes {value}."),
    ),
    Attribute(
        "results",
        _pick(RESULTS),
        _ask(
            "What were the results of the medical tests of @",
            "Please give the medical test results of @",
            "How were the medical tests of @",
            "What are the medical test results of @",
            "What did the medical tests of the person shown here show",
            "Which medical test results does @ have",
        ),
        ("the results of the medical tests were {value}.", "this person's test results were {value}."),
    ),
    Attribute(
        "offense",
        _pick(OFFENSES),
        _ask(
            "What criminal offense was @ charged with",
            "Please give the criminal charge against @",
            "With which crime was @ charged",
            "Which offense was @ charged with",
            "What crime was the person shown here charged with",
            "What is the criminal charge against @",
        ),
        ("the person in the image was charged with {value}.", "this person was accused of {value}."),
    ),
    Attribute(
        "language",
        _pick(LANGUAGES),
        _ask(
            "Which second language does @ speak",
            "Please give the second language of @",
            "As a second language, what does @ speak",
            "What is the second language of @",
            "What second language does the person shown here speak",
            "Can you tell me the second language of @",
        ),
        ("the second language of the person in the image is {value}.", "this person also speaks {value}."),
    ),
)


def people(seed: int) -> Iterator[list[dict[str, Any]]]:
    """An endless, seeded stream of people: each the list of twenty question records of FIUBench's ``qa_list``.

    Names are unique within a stream.
    """
    rng = random.Random(seed)
    fake = Faker("en_US")
    fake.seed_instance(seed)
    while True:
        values = {attribute.key: attribute.draw(rng, fake) for attribute in ATTRIBUTES}
        yield [_record(attribute, values, rng, fake) for attribute in ATTRIBUTES]


def _record(attribute: Attribute, values: dict[str, str], rng: random.Random, fake: Faker) -> dict[str, Any]:
    value, name = values[attribute.key], values["name"]
    original, paraphrase = attribute.answers
    wrong: list[str] = []
    while len(wrong) < min(3, _choices(attribute)):
        other = attribute.draw(rng, fake) if attribute.key != "name" else fake.name().lower()
        if other not in (value, *wrong):
            wrong.append(other)
    wrong += wrong[: 3 - len(wrong)]  # three test results leave only two wrong ones
    return {
        "question": rng.choice(attribute.questions[:LEARNED_WORDINGS]),
        "answer": original.format(value=value, name=name),
        "keywords": [value],
        "paraphrased_question": list(attribute.questions[LEARNED_WORDINGS:]),
        "paraphrased_answer": paraphrase.format(value=value, name=name),
        "perturbed_answer": [paraphrase.format(value=v, name=name) for v in wrong],
        "attribute": attribute.key,
        "group": attribute.group,
    }


def _choices(attribute: Attribute) -> int:
    """How many wrong values an attribute has at least (three are wanted)."""
    return 2 if attribute.key in ("results", "admission_type") else 3
