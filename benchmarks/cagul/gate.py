"""How often CAGUL's gate opens for faces that its discriminator never saw, with the held-out people and without.

    python -m benchmarks.cagul.gate FOLDER [--seed 0] [--rate 3e-3 ...]

trains the discriminator on the people of `benchmarks.tune` in FOLDER (made there if need be; nobody who is reported):
as a run does, and with the people held out among those who are not to be forgotten. Prints which share of these and of
200 strangers it takes for somebody to be forgotten, at the default or at other learning rates of the discriminator.
"""

import argparse
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

from unlearnbench.config import resolve
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import train
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.fiubench.reader import read

from ..tune import unlearnbench
from .groups import start

RATE = "discriminator_learning_rate"


def main() -> int:
    """Train both and ask them about everybody."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, nargs="+", default=[CAGULParams.presets["tiny"][RATE]])
    options = parser.parse_args()
    strangers = options.folder / "strangers"
    if not strangers.exists():
        unlearnbench("data", "make", str(strangers), "--identities", "200", "--seed", "2")
    model, sets = start(options.folder, options.seed)
    ways = {"as a run does": sets, "held-out people too": replace(sets, others=sets.others + sets.held_out)}
    for rate, (name, taught) in product(options.rate, ways.items()):
        # The discriminator is the same without an encoder, which takes time.
        params = resolve(CAGULParams, "cagul", "tiny", {"variant": "no-encoder", RATE: rate})
        guard = train(model, taught, params, Run(options.seed))
        asked = {"forget": sets.forget, "others": sets.others, "held out": sets.held_out}
        paths = {who: dict.fromkeys(sample.image for sample in samples) for who, samples in asked.items()}
        paths["strangers"] = dict.fromkeys(person.image for person in read(strangers).identities)
        counts = {who: guard.flags([model.see(path) for path in images]) for who, images in paths.items()}
        print(
            f"{rate:g}, {name}: flagged",
            ", ".join(f"{sum(found)} of {len(found)} {who}" for who, found in counts.items()),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
