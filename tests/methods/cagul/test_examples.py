"""What a row says that CAGUL's training saw."""

import pytest

from unlearnbench.contracts.sample import Sets
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import train
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.runtime.run import Run


@pytest.mark.parametrize("variant", [{}, {"encoder": "noise"}])
def test_both_phases_see_every_sample_of_the_sets_once_an_epoch(
    model: VLM, sets: Sets, variant: dict[str, object]
) -> None:
    """Those that the gate keeps from the language model among them: the discriminator learns from them."""
    run = Run(0, set_of=sets.set_of)
    train(model, sets, CAGULParams(epochs=1, discriminator_epochs=2, batch_size=16, gate="label", **variant), run)
    assert run.cost["examples"] == {
        "forget": 3 * len(sets.forget),
        "nonprivate": 3 * len(sets.nonprivate),
        "others": 3 * len(sets.others),
        "validation": 0,
        "held_out": 0,
    }
    assert run.cost["epoch"] == "one pass over all samples"
