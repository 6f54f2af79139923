"""What is asked about people, and what is kept of the answers: a record a sample, in FIUBench's own names."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypeVar

from typing_extensions import TypedDict  # pydantic reads these, and before Python 3.12 cannot read typing's own

from unlearnbench import Ask, Asked, Asking, Request, Weigh, WeighTokens, ask, value_logprobs

from .sets import Fact

if TYPE_CHECKING:
    from unlearnbench import VLM, Run

T = TypeVar("T")


SetName = Literal["forget", "nonprivate", "others", "retain", "held_out", "acquaintances", "other_view"]
"""A set that a prediction may be of; who does not tell non-private questions from other people's says retain."""


class Answered(TypedDict):
    """A model's answer to one question: all that the text metrics read."""

    unique_id: str
    question: str
    answer: str
    keywords: list[str]
    prediction: str


class Prediction(Answered):
    """The same as files of predictions have it: with its set, and with what else a row's samples hold, if they are."""

    set: NotRequired[SetName]
    id: NotRequired[str]
    attribute: NotRequired[str]
    paraphrased_predictions: NotRequired[list[str]]
    logprobs: NotRequired[list[float]]
    value_logprobs: NotRequired[list[float] | None]
    paraphrased_logprobs: NotRequired[list[float] | None]
    perturbed_logprobs: NotRequired[list[list[float]]]


class FactRecord(Answered):
    """One evaluated sample. Log-probabilities are natural logarithms, one an answer token, the end token included.

    ``set`` is forget, nonprivate, others, held_out, acquaintances, or other_view: the forget set on pictures that
    nobody trained on. Of the last two only the answer and the true answer's likelihood are asked for.
    """

    set: str
    id: str
    group: str
    attribute: str
    """What the question asks for, in whatever words."""
    view: Literal["seen", "other"]
    """Whether the picture is one that models train on, or another of the same person."""
    image: NotRequired[str]
    """The picture's path within the data's folder; there is none of a question without a picture."""
    images: NotRequired[list[str]]
    """The paths of all pictures, of a question about several."""
    paraphrased_predictions: list[str]
    logprobs: list[float]
    value_logprobs: list[float] | None
    """Those of ``logprobs`` whose token holds a keyword; null where no keyword is in the answer."""
    paraphrased_logprobs: list[float] | None
    perturbed_logprobs: list[list[float]]
    tokens: NotRequired[list[list[float]]]
    """Where an attack asks for it: of each token of the true answer what `WeighTokens` tells."""
    draws: NotRequired[list[str]]
    """Where an attack asks for several: all answers to the question, the prediction the first of them."""
    explanation: NotRequired[dict[str, Any] | list[dict[str, Any]]]
    """What an edit of visual tokens did to the picture, a list of several; of a few samples alone."""


OUTRIGHT = Asking(reworded=True)
"""As the task itself asks: the forget set in other words too."""

WEIGHED = ("forget", "nonprivate", "others", "held_out")
"""The sets of which other wordings of the answer and false ones are weighed too."""


def collect(
    model: "VLM",
    asked: Mapping[str, Sequence[Fact]],
    root: Path,
    run: "Run",
    *,
    what: str,
    max_new_tokens: int,
    batch_size: int | None,
    how: Asking = OUTRIGHT,
) -> list[FactRecord]:
    """One record a sample ``asked``, by the set that it is of: answers and log-probabilities; ``how`` as attacks ask.

    Pictures are named by their paths within the folder ``root``; ``what`` is the task that shows how far it is.
    """
    named = [(name, sample) for name, own in asked.items() for sample in own]
    spoken = named if how.answers else []
    # Further answers are numbered downwards from 0, other wordings upwards.
    questions = [
        Ask((s.id, -place), how.of(s), max_new_tokens, rule) for _, s in spoken for place, rule in enumerate(how.rules)
    ]
    reworded = asked.get("forget", ()) if how.reworded and how.answers else ()
    questions += [request for s in reworded for request in _reworded(s, max_new_tokens)]
    said = ask(model, questions, run, batch_size=batch_size, what=f"{what}: asking")
    weighable = named if how.likelihoods else []
    weights = [request for name, sample in weighable for request in _weighed(sample, how, name in WEIGHED)]
    weighed: dict[Any, Any] = ask(model, weights, run, batch_size=batch_size, what=f"{what}: likelihoods")
    records: list[FactRecord] = []
    for name, sample in named:
        question, told = sample.question, weighed.get((sample.id, "answer", 0), [])
        logprobs = [each[0] for each in told] if how.tokens else told
        others = question.paraphrased_questions if name == "forget" and reworded else ()
        perturbed = question.perturbed_answers if name in WEIGHED and how.likelihoods else ()
        records.append(
            {
                "set": name,
                "id": sample.id,
                "unique_id": sample.cluster,
                "group": str(question.group),
                "attribute": question.attribute,
                "view": "other" if name == "other_view" else "seen",
                **_pictures(sample, root),  # type: ignore[typeddict-item]
                "question": question.question,
                "answer": question.answer,
                "keywords": list(question.keywords),
                "prediction": said.get((sample.id, 0), ""),
                "paraphrased_predictions": [said[sample.id, place] for place, _ in enumerate(others, start=1)],
                "logprobs": logprobs,
                "value_logprobs": logprobs and value_logprobs(model, question.answer, logprobs, question.keywords),
                "paraphrased_logprobs": weighed.get((sample.id, "paraphrased", 0)),
                "perturbed_logprobs": [weighed[sample.id, "perturbed", place] for place, _ in enumerate(perturbed)],
            }
        )
        if how.tokens:
            records[-1]["tokens"] = told
        if how.draws:
            records[-1]["draws"] = [said[sample.id, -place] for place, _ in enumerate(how.draws)]
    return records


class _Pictures(TypedDict):
    image: NotRequired[str]
    images: NotRequired[list[str]]


def _pictures(sample: Fact, root: Path) -> _Pictures:
    """What a record says of a sample's pictures."""
    names = [
        image.relative_to(root).as_posix() if image.is_relative_to(root) else image.name for image in sample.images
    ]
    if len(names) > 1:
        return {"image": names[0], "images": names}
    return {"image": names[0]} if names else {}


def _reworded(sample: Fact, max_new_tokens: int) -> Iterator[Ask[tuple[str, int]]]:
    """A sample asked in other words, which are numbered from 1."""
    for place, text in enumerate(sample.question.paraphrased_questions, start=1):
        yield Ask((sample.id, place), Asked(text, sample.images), max_new_tokens)


def _weighed(sample: Fact, how: Asking, others: bool) -> Iterator[Request[tuple[str, str, int], Any]]:
    """The answers whose likelihood is wanted: the true one, with the ``others`` paraphrased and perturbed ones too."""
    question, query, cased = sample.question, how.of(sample), str.lower if how.one_casing else str
    yield (WeighTokens if how.tokens else Weigh)((sample.id, "answer", 0), query, question.answer)
    if others and question.paraphrased_answer:
        yield Weigh((sample.id, "paraphrased", 0), query, cased(question.paraphrased_answer))
    for place, text in enumerate(question.perturbed_answers if others else ()):
        yield Weigh((sample.id, "perturbed", place), query, cased(text))


EXPLAINED = 8
"""How many forget samples carry what the method did to their picture."""


def explain(model: "VLM", forget: Iterable[Fact], records: list[FactRecord]) -> None:
    """Add to a few records of ``forget``, one person after the other, what an edit of visual tokens did to pictures."""
    turns = in_turns((sample for sample in forget if sample.images), lambda sample: sample.cluster)
    chosen = [*islice(turns, EXPLAINED)]
    said = model.explain(model.prepare(chosen)) if chosen else None
    if said is None:
        return
    facts = iter(said)
    own = {sample.id: [*islice(facts, len(sample.images))] for sample in chosen}
    for record in records:
        if record["id"] in own and record["set"] == "forget":
            named = zip(record.get("images", [record.get("image")]), own[record["id"]], strict=True)
            told = [{"image": image, **each} for image, each in named]
            record["explanation"] = told[0] if len(told) == 1 else told


def in_turns(items: Iterable[T], whose: Callable[[T], str]) -> Iterator[T]:
    """The first item of everybody, then everybody's second, and so on."""
    of: defaultdict[str, list[T]] = defaultdict(list)
    for item in items:
        of[whose(item)].append(item)
    yield from (item for turn in zip_longest(*of.values()) for item in turn if item is not None)
