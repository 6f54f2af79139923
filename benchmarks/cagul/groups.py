"""What one learning rate and one clipping over both of CAGUL's modules did, against each having its own.

    python -m benchmarks.cagul.groups FOLDER [--seed 0]

trains CAGUL on the people of `benchmarks.tune` in FOLDER (made there if need be; nobody who is reported) four times:
with two wordings of the refusals, jointly as until version 1 and each module for itself as since. Prints what the gate
does with everybody's picture, and how far the refusals' wording changed the discriminator, which never sees a refusal.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from unlearnbench.config import RunConfig, resolve
from unlearnbench.contracts.sample import Sets
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.planning import plan
from unlearnbench.engine.runner import Runner
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import CAGULTrainer, flagged_shares, training_cases
from unlearnbench.metrics.refusals import REFUSALS
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.runtime.run import Run, Silent
from unlearnbench.training.loop import Group

from ..tune import MODEL, unlearnbench
from .plain import largest_difference

WORDINGS = {"four sentences": REFUSALS, "one word": ("No.",)}


class Grouped(CAGULTrainer):
    """As until version 1: beside the encoder the discriminator has its rate, and both are clipped by one norm."""

    def groups(self, *names: str) -> list[Group]:
        """One of both modules."""
        if len(names) == 1:
            return super().groups(*names)
        parameters = [parameter for name in names for parameter in self.guard.modules[name].parameters()]
        return [Group(parameters, self.params.learning_rate, self.params.clip_norm)]


def main() -> int:
    """Train all four and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model, sets = start(options.folder, options.seed)
    for way in (Grouped, CAGULTrainer):
        print("together" if way is Grouped else "each for itself")
        guards = [trained(way, model, sets, options.seed, wording) for wording in WORDINGS]
        weights = [[*guard.modules["discriminator"].parameters()] for guard in guards]
        one, other = (probabilities(model, sets, guard) for guard in guards)
        decided = int(((one >= 0.5) != (other >= 0.5)).sum())
        print(f"  between the wordings D's weights differ by at most {largest_difference(*weights):.3g}, its")
        print(f"  probabilities by {float((one - other).abs().max()):.3g}, and {decided} of {len(one)} decisions")
    return 0


def start(folder: Path, seed: int) -> tuple[VLM, Sets]:
    """The base model on the people in ``folder``, and their sets."""
    if not (folder / "people").exists():
        unlearnbench("data", "make", str(folder / "people"), "--identities", "20", "--seed", "1")
    data, tasks = str(folder / "people"), ("fiubench",)
    config = RunConfig(methods=("finetune",), models=(MODEL,), tasks=tasks, data=data, seeds=(seed,), device="cpu")
    store = Store(folder / "store")
    (base,) = plan(config, store)
    return Runner(store, Silent()).ready(base).model, base.sets


def trained(way: type[CAGULTrainer], model: VLM, sets: Sets, seed: int, wording: str) -> Guard:
    """CAGUL with its defaults but for the refusals."""
    params = resolve(CAGULParams, "cagul", "tiny", {"refusals": WORDINGS[wording]})
    torch.manual_seed(seed)
    run, guard = Run(seed), Guard(model, params, seed)
    trainer, cases = way(model, guard), training_cases(sets, params.refusals, run)
    trainer.train_discriminator(cases, run)
    trainer.train_jointly(cases, run)
    shares = ", ".join(f"{name} {share:.2f}" for name, share in flagged_shares(model, guard, sets).items())
    losses = ", ".join(f"{name} {run.notes['training'][name]:.2g}" for name in ("discriminator", "refuse", "retain"))
    print(f"  {wording}: flagged {shares}; losses {losses}")
    return guard


@torch.no_grad()
def probabilities(model: VLM, sets: Sets, guard: Guard) -> Tensor:
    """That each picture of the data shows somebody to be forgotten, as the discriminator has it."""
    pictures = [model.see(path) for path in dict.fromkeys(sample.image for sample in sets.all)]
    logits: Tensor = guard.modules["discriminator"]([picture.tokens for picture in pictures])
    return logits.sigmoid()


if __name__ == "__main__":
    sys.exit(main())
