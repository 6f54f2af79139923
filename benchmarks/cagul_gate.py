"""How often CAGUL's gate opens for faces that its discriminator never saw, with the held-out people and without.

    python -m benchmarks.cagul_gate FOLDER [--seed 0]

trains the discriminator on the people of `benchmarks.tune` in FOLDER (made there if need be; nobody who is reported):
as a run does, and with the people held out among those who are not to be forgotten. Prints which share of these and of
200 strangers it takes for somebody to be forgotten.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from unlearnbench.config import resolve
from unlearnbench.data.fiubench import read
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import train
from unlearnbench.training.run import Run

from .cagul_groups import start
from .tune import unlearnbench


def main() -> int:
    """Train both and ask them about everybody."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    strangers = options.folder / "strangers"
    if not strangers.exists():
        unlearnbench("data", "make", str(strangers), "--identities", "200", "--seed", "2")
    model, sets = start(options.folder, options.seed)
    params = resolve(CAGULParams, "cagul", "tiny", {"variant": "no-encoder"})  # whose discriminator is the same
    assert isinstance(params, CAGULParams)
    for name, taught in {
        "as a run does": sets,
        "held-out people too": replace(sets, others=sets.others + sets.held_out),
    }.items():
        guard = train(model, taught, params, Run(options.seed))
        asked = {"forget": sets.forget, "others": sets.others, "held out": sets.held_out}
        paths = {who: dict.fromkeys(sample.image for sample in samples) for who, samples in asked.items()}
        paths["strangers"] = dict.fromkeys(person.image for person in read(strangers).identities)
        counts = {who: guard.flags([model.see(path) for path in images]) for who, images in paths.items()}
        print(f"{name}: flagged", ", ".join(f"{sum(found)} of {len(found)} {who}" for who, found in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
