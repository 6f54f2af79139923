"""What batches with several questions about a picture cost in learning: ``python -m benchmarks.speed.memorising``.

The base stage of a tiny model, with the parameters that it has by default, on the first people that ship: how many
epochs it takes until the loss is small enough, and how many answers the model then gives word for word.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from unlearnbench.config import resolve
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
    parser.add_argument("--seeds", default="0", help="of the order, and of the first weights of an adapter")
    parser.add_argument("--out", type=Path, help="a file to which lines of JSON are added")
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        for questions in map(int, options.questions.split(",")):
            line = json.dumps(learned(options.model, options.people, questions, seed))
            print(line, flush=True)
            if options.out:
                with options.out.open("a") as file:
                    file.write(line + "\n")


def learned(name: str, people: int, questions: int, seed: int) -> dict[str, Any]:
    """What came of one training."""
    model, samples = load(card_for(name), "cpu"), [sample for own in by_person(people) for sample in own]
    params = resolve(BaseParams, "base", "tiny", {"questions_per_picture": questions})
    run = Run(seed)
    with Clock(model.device) as clock:
        train_base(model, samples, params, run)
    facts = {"model": name, "people": people, "seed": seed, "questions_per_picture": questions}
    told = {key: run.notes["training"][key] for key in ("epochs", "steps", "stopped", "answers")}
    return facts | told | {"exact_match": by_heart(model, samples, run) / len(samples), "seconds": round(clock.seconds)}


if __name__ == "__main__":
    main()
