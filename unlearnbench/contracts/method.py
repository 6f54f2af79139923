"""What unlearns: one function from a model and the sets to what it changed of the model."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from .params import Params

if TYPE_CHECKING:
    from ..models.contract.edits import Edit
    from ..models.contract.vlm import VLM
    from ..runtime.run import Run
    from .footprint import Counts, Footprint, Workload
    from .sample import Sets

_Params = Params


class Method(ABC):
    """An unlearning method: one function from a model and the sets to what it changed of the model.

    Subclasses nest a class ``Params`` and are named by ``@method`` or by the class attribute ``name``, which is then
    also the name of their entry point in the group ``unlearnbench.methods``.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Goes into the key of everything stored: raise it when the method computes something else than before."""
    reference: ClassVar[str] = ""
    start: ClassVar[Literal["pretrained", "base", "unlearned"]] = "base"
    """The stage whose model the method receives. One that starts from "unlearned" goes on with what another method has
    made, which its `Params`, a `Continued`, name: ``--set NAME.method=OTHER``."""
    role: ClassVar[Literal["method", "reference"]] = "method"
    """A reference is what methods are compared with: a table never marks it as the best."""
    ideal: ClassVar[bool] = False
    """Whether this reference never saw the forget set, so that its values there are what unlearning aims at."""
    nothing: ClassVar[bool] = False
    """Whether this reference leaves the base as it is, so that what others forget is measured from its values."""
    frozen_weights: ClassVar[bool] = False
    """Whether the model's own weights stay as they are and modules beside them do the work: whoever has the weights
    can leave those modules out, so leaderboards mark such methods."""
    Params: ClassVar[type[Params]] = Params

    params: "_Params"
    """What it was made with. A subclass says ``params: Params`` below its own class, for mypy to check their use."""

    def __init__(self, params: "_Params") -> None:
        self.params = params

    @abstractmethod
    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> "Edit | None":
        """Make ``model`` forget ``sets.forget``; returns what was changed of it, or None where nothing was.

        What is evaluated is a fresh copy of the starting model with that edit applied, so the model itself may be
        left in any state; but where None is returned it must be as it came, or there is an error and no row.
        """

    @classmethod
    def edit_class(cls) -> "type[Edit] | None":
        """The class that reads back what `unlearn` returned, once it is stored; None for what training changed.

        That is `unlearnbench.Weights` or `unlearnbench.Adapter`.
        """
        return None

    def footprint(self, model: "Counts", work: "Workload") -> "Footprint | None":
        """What `unlearn` needs on a model of these counts, for ``plan --memory``.

        By default what its parameters say: those of trainings (`FinetuneParams`, `UnlearnParams`) do. None where it is
        not known, `NOTHING` where nothing is trained.
        """
        return self.params.footprint(work)
