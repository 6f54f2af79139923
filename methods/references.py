"""Reference rows: the model as it came (`pretrain`) and the model that has memorised everything (`finetune`)."""

from typing import TYPE_CHECKING

from unlearnbench import Method, method
from unlearnbench.contracts.footprint import NOTHING, Footprint

if TYPE_CHECKING:
    from unlearnbench.contracts.footprint import Workload
    from unlearnbench.contracts.sample import Sets
    from unlearnbench.engine.memory.counts import Counts
    from unlearnbench.models.contract.vlm import VLM
    from unlearnbench.runtime.run import Run


@method("pretrain", reference="the model before it has seen anybody's data")
class Pretrain(Method):
    """The pretrained model as it is: what a model answers about people it has never heard of."""

    start = "pretrained"
    role = "reference"

    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> None:
        """Leave the model alone."""

    def footprint(self, model: "Counts", work: "Workload") -> Footprint:
        """Nothing is trained."""
        return NOTHING


@method("finetune", reference="the base model, from which every method unlearns")
class Finetune(Method):
    """The base model: finetuned on everybody's data, nothing unlearned. Doing nothing scores like this."""

    role = "reference"

    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> None:
        """Leave the model alone."""

    def footprint(self, model: "Counts", work: "Workload") -> Footprint:
        """Nothing is trained."""
        return NOTHING
