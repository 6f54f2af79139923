"""What batches with several questions about a picture cost in learning: ``python -m benchmarks.speed.memorising``.

The base stage of a tiny model, with the parameters that it has by default, on the first people that ship: how many
epochs it takes until the loss is small enough, and how many answers the model then gives word for word. Of each
person three pictures ship, with up to 7 questions each; with ``--one-picture`` all 20 are about the first.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from unlearnbench.config import resolve
from unlearnbench.contracts.sample import Asked
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Run
from unlearnbench.training.base import by_heart, train_base
from unlearnbench.training.params import BaseParams

from .case import by_person
from .measure import Clock


def main() -> None:
    """Train with each number, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny-qwen2.5-vl")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--questions", default="1,4,8,20", help="numbers of questions about a picture")
    parser.add_argument("--one-picture", action="store_true", help="all questions about a person's first picture")
    parser.add_argument("--seeds", default="0", help="of the order, and of the first weights of an adapter")
    parser.add_argument("--out", type=Path, help="a file to which lines of JSON are added")
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        for questions in map(int, options.questions.split(",")):
            line = json.dumps(learned(options.model, options.people, questions, seed, one=options.one_picture))
            print(line, flush=True)
            if options.out:
                with options.out.open("a") as file:
                    file.write(line + "\n")


def learned(name: str, people: int, questions: int, seed: int, *, one: bool) -> dict[str, Any]:
    """What came of one training; with ``one`` picture of a person."""
    known = by_person(people)
    model, samples = load(card_for(name), "cpu"), [sample for own in known for sample in own]
    if one:
        samples = [replace(each, query=Asked(each.text, own[0].images)) for own in known for each in own]
    params = resolve(BaseParams, "base", "tiny", {"questions_per_picture": questions})
    run = Run(seed)
    with Clock(model.device) as clock:
        train_base(model, samples, params, run)
    facts = {"model": name, "people": people, "seed": seed, "questions_per_picture": questions, "one_picture": one}
    told = {key: run.notes["training"][key] for key in ("epochs", "steps", "stopped", "answers")}
    return facts | told | {"exact_match": by_heart(model, samples, run) / len(samples), "seconds": round(clock.seconds)}


if __name__ == "__main__":
    main()
