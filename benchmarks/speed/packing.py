"""When it pays to pack a training step: ``python -m benchmarks.speed.packing``.

Steps of 16 samples, all weights trained, with 1 to 16 questions about each picture and pictures of three sizes: the
share of work that is spared, how many times as fast the step is, and the largest difference of the gradients.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import Tensor

from unlearnbench.config import resolve
from unlearnbench.training.adaptation import Trainee, adapted
from unlearnbench.training.losses import answer_nll
from unlearnbench.training.params import BaseParams

from .case import Case
from .measure import Clock

ROWS, REPEATS = 16, 3
CASES = (("tiny-qwen2.5-vl", 140), ("tiny-qwen2.5-vl", 294), ("tiny-qwen2.5-vl", 588), ("tiny-mllama", 588))


def main() -> None:
    """Measure every mixture and print."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    table = Table("model", "visual tokens", "questions a picture", "spared", "times as fast", "gradients differ by")
    with tempfile.TemporaryDirectory() as folder:
        for name, side in CASES:
            case = Case(name, Path(folder), ROWS, ROWS, side)
            for each in (1, 2, 4, 8, 16):
                with adapted(case.model, resolve(BaseParams, "base", "tiny", {}), 0) as trainee:
                    facts = step(case, trainee, each)
                table.add_row(name, str(case.visual_tokens), str(each), *facts)
    Console(width=120).print(table)


def step(case: Case, trainee: Trainee, each: int) -> tuple[str, str, str]:
    """The figures of a step with ``each`` questions about a picture."""
    rows = [ROWS * picture + question for picture in range(ROWS // each) for question in range(each)]
    queries, answers = [case.queries[row] for row in rows], [case.answers[row] for row in rows]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    gradients: dict[bool, list[Tensor]] = {}
    for _ in range(REPEATS):
        for packed in (False, True):
            with Clock(case.device) as clock:
                batch = case.model.prepare(queries, answers)
                said = case.model.answer_log_probabilities(batch, trainee.look(batch), packed=packed)
                answer_nll(said).mean().backward()  # type: ignore[no-untyped-call]
            seconds[packed].append(clock.seconds)
            gradients[packed] = [p.grad for p in trainee.parameters if p.grad is not None]
            for parameter in trainee.parameters:
                parameter.grad = None
    plain, fast = (statistics.median(seconds[packed][1:]) for packed in (False, True))
    worst = max(float((one - other).abs().max()) for one, other in zip(*gradients.values(), strict=True))
    return f"{case.model.spared(batch, case.model.look(batch)):.2f}", f"{plain / fast:.2f}", f"{worst:.0e}"


if __name__ == "__main__":
    main()
