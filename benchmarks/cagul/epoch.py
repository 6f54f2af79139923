"""How much faster CAGUL's cached trainer is than the plain loop, in one process, with equal weights.

``python -m benchmarks.cagul.epoch [--identities 20] [--forget 4] [--epochs 2]`` prints seconds per joint epoch of both,
their ratio, and the largest difference of the trained weights.
"""

import argparse
import tempfile
import time
from pathlib import Path

from unlearnbench.embedded.data.make import make
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import CAGULTrainer, training_cases
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE

from .plain import PlainCagul, PlainCross, largest_difference


def main() -> None:
    """Train both ways from the same start and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny-qwen2.5-vl")
    parser.add_argument("--identities", type=int, default=20)
    parser.add_argument("--forget", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    params = CAGULParams(
        epochs=options.epochs, discriminator_epochs=4, batch_size=16, learning_rate=1e-3, k=8,
        discriminator_learning_rate=1e-3,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "data", identities=options.identities, scenes=1)
        sets = split_sets(read(Path(folder) / "data"), options.forget, PRIVATE)
        cases = training_cases(sets, params.refusals, Run(0))
        fast_seconds, fast = _fast(options.model, params, cases)
        plain_seconds, plain = _plain(options.model, params, cases)
    print(f"plain  {plain_seconds / options.epochs:8.2f} s per epoch")
    print(f"cached {fast_seconds / options.epochs:8.2f} s per epoch, everything computed for the first time included")
    print(f"ratio  {plain_seconds / fast_seconds:8.1f}")
    print(f"largest difference of weights {largest_difference(fast, plain):.1e}")


def _fast(name, params, cases):  # type: ignore[no-untyped-def]
    import torch

    model = load(card_for(name), "cpu")
    torch.manual_seed(0)
    trainer = CAGULTrainer(model, Guard(model, params))
    trainer.train_discriminator(cases, Run(0))
    start = time.perf_counter()
    trainer.train_jointly(cases, Run(0))
    seconds = time.perf_counter() - start
    return seconds, [p.detach() for module in trainer.guard.modules.values() for p in module.parameters()]


def _plain(name, params, cases):  # type: ignore[no-untyped-def]
    model = load(card_for(name), "cpu")
    plain = (PlainCross if model.layered else PlainCagul)(model, params, seed=0)
    plain.train_discriminator(cases)
    start = time.perf_counter()
    plain.train_jointly(cases)
    seconds = time.perf_counter() - start
    return seconds, [parameter.detach() for parameter in plain.parameters()]


if __name__ == "__main__":
    main()
