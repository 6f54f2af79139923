"""Creatures: multiple-choice questions about made-up animals, with and without pictures; some animals are forgotten.

A folder holds ``creatures.jsonl``, a question a line: ``id``, ``creature``, ``question``, ``options``, ``right`` (the
place of the true option, from 0) and, if it is about one, ``picture``, a file beside it.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from unlearnbench import (
    Asked,
    DataError,
    Evaluation,
    Headline,
    Location,
    MetricOptions,
    Sample,
    Sets,
    Split,
    Task,
    UsageError,
    Weigh,
    ask,
    chance,
    further_versions,
    locate,
    measure_sets,
    task,
)

FILE = "creatures.jsonl"
REPORTED = {"forget": ("choice",), "retain": ("choice",)}


@dataclass(frozen=True)
class Creatures:
    """What `load` returns: the questions in the file's order, and the creatures that are to be forgotten."""

    location: Location
    fingerprint: str
    questions: tuple[dict[str, Any], ...]
    forgotten: tuple[str, ...]
    of: int

    @property
    def split(self) -> Split:
        return Split.made(f"{len(self.forgotten)} creatures", self.of, self.forgotten)

    def images(self, question: dict[str, Any]) -> tuple[Path, ...]:
        return (self.location.folder / question["picture"],) if question.get("picture") else ()

    def sample(self, question: dict[str, Any]) -> Sample:
        """What is learned: the true option as the answer to the bare question."""
        query = Asked(question["question"], self.images(question))
        return Sample(question["id"], question["creature"], query, question["options"][question["right"]])


@task("creatures", reference="a made-up benchmark")
class CreaturesTask(Task):
    """Which of the options is true of an animal, by their likelihoods."""

    provides_sets = True
    metric_sets = tuple(REPORTED)
    Options = MetricOptions
    headlines = (Headline("Forget", "forget.choice", "Choice"), Headline("Retain", "retain.choice", "Choice"))
    outputs = ("option_logprobs",)

    @property
    def protocol(self) -> dict[str, Any]:
        return {"asked": "Which is true? {question}"} | further_versions(self)

    def load(self, source: str, forget: int | str | None, seed: int = 0) -> Creatures:
        location = locate(source, self.name)
        path = location.folder / FILE
        if not path.is_file():
            raise DataError(f"{path} is missing: give --data the folder that holds it")
        questions = tuple(map(json.loads, path.read_text().splitlines()))
        names = sorted({each["creature"] for each in questions})
        number = 1 if forget is None else forget
        if not isinstance(number, int) or not 1 <= number < len(names):
            raise UsageError(f"--forget {forget}: give a number from 1 to {len(names) - 1}")
        digest = sha256(path.read_bytes())
        for picture in sorted({each["picture"] for each in questions if each.get("picture")}):
            digest.update((location.folder / picture).read_bytes())
        return Creatures(location, digest.hexdigest(), questions, tuple(names[:number]), len(names))

    def sets(self, data: Creatures) -> Sets:
        """No set but these two: nothing else of a forgotten animal is known, and none is held out."""
        samples = [data.sample(each) for each in data.questions]
        forget = tuple(each for each in samples if each.cluster in data.forgotten)
        return Sets(forget=forget, others=tuple(each for each in samples if each.cluster not in data.forgotten))

    def texts(self, data: Creatures) -> Any:
        for each in data.questions:
            texts = (each["question"], *each["options"])
            yield from ((f"{data.location.folder / FILE}: {each['id']}", "question", text) for text in texts)

    def evaluate(self, model: Any, data: Creatures, run: Any) -> Evaluation:
        """Ask otherwise than was learned, and weigh every option."""
        wanted = [
            Weigh((each["id"], place), Asked(f"Which is true? {each['question']}", data.images(each)), option)
            for each in data.questions
            for place, option in enumerate(each["options"])
        ]
        weighed = ask(model, wanted, run, what="creatures: options")
        records = [
            {
                "id": each["id"],
                "set": "forget" if each["creature"] in data.forgotten else "retain",
                "cluster": each["creature"],
                "question": each["question"],
                "answer": each["options"][each["right"]],
                "right_option": each["right"],
                "option_logprobs": [weighed[each["id"], place] for place, _ in enumerate(each["options"])],
            }
            for each in data.questions
        ]
        return self.measured(records)

    def measured(self, records: Any) -> Evaluation:
        """Accuracy by set, and what guessing would give."""
        guessing = {f"{name}.choice": chance(own) for name, own in self.views(records).items()}
        return Evaluation([*records], measure_sets(self, records, REPORTED), baselines={"guessing": guessing})
