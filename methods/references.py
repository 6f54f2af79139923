"""Reference rows: the model as it came (`pretrain`) and the model that has memorised everything (`finetune`)."""

from typing import TYPE_CHECKING

from unlearnbench import NOTHING, Footprint, Method, method

if TYPE_CHECKING:
    from unlearnbench import VLM, Counts, Run, Sets, Workload


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
    nothing = True

    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> None:
        """Leave the model alone."""

    def footprint(self, model: "Counts", work: "Workload") -> Footprint:
        """Nothing is trained."""
        return NOTHING
