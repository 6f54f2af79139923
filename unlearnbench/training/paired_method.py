"""What most methods are: parameters, and a loss on batches of forget samples with a retain sample beside each."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from ..contracts import Method
from ..errors import PluginError
from .params import DIVERGED, UnlearnParams

if TYPE_CHECKING:
    from torch.nn import Parameter

    from ..contracts.footprint import Counts, Footprint, Workload
    from ..contracts.sample import Sets
    from ..models.contract.edits import Trained
    from ..models.contract.vlm import VLM
    from ..runtime.run import Run
    from .loop import Parts
    from .unlearning import Pairs, Unlearning


class PairedMethod(Method):
    """Trains an adapter (or all weights) on the sum of the parts that `loss` returns for a batch of pairs.

    Subclasses nest ``Params``, a subclass of `UnlearnParams` or, to be stopped in time, of `AscentParams`.
    """

    Params: ClassVar[type[UnlearnParams]] = UnlearnParams
    params: UnlearnParams
    needs_reference: ClassVar[bool] = False
    """Whether the loss asks for what the model before would say (`Unlearning.kl`, `Unlearning.reference`)."""

    largest_loss: ClassVar[float] = DIVERGED
    """Beyond which a part of the loss counts as diverged: more for one that is no likelihood, as of hidden states."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if not issubclass(cls.Params, UnlearnParams):
            raise PluginError(
                f"{cls.__name__} trains by its Params, which lack what a training needs: class Params(UnlearnParams)"
            )

    @abstractmethod
    def loss(self, state: "Unlearning", batch: "Pairs") -> "Parts":
        """The parts of the loss by their names, each a mean over the batch; `Apart` for a backward pass of its own."""

    def on_gradients(self, parameters: "Sequence[Parameter]") -> None:
        """What to do with a step's gradients before they are clipped (`unlearnbench.training.loop.GradientHook`)."""

    @property
    def refusals(self) -> Sequence[str]:
        """Of which one is drawn for each forget sample (`Pairs.refusals`)."""
        return ("",)

    def footprint(self, model: "Counts", work: "Workload") -> "Footprint | None":
        """What its parameters say, and where all weights are trained the copy of them that it may need."""
        made = self.params.footprint(work)
        return replace(made, reference=self.needs_reference) if made else None

    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> "Trained":
        """Train; see `unlearnbench.training.unlearning`."""
        from .unlearning import unlearn

        return unlearn(
            model,
            sets,
            self.params,
            run,
            self.loss,
            refusals=self.refusals,
            needs_reference=self.needs_reference,
            on_gradients=self.on_gradients,
            largest_loss=self.largest_loss,
        )
