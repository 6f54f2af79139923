"""What tries to bring back what was unlearned, or looks whether it is still there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field

from .params import Params
from .sample import Query, Sample, Sampling

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..metrics.statistics import MetricValue
    from ..models.contract.edits import Edit
    from ..models.contract.vlm import VLM
    from ..runtime.run import Run
    from .footprint import Counts, Footprint, Workload
    from .sample import Sets
    from .task import Task

Access = Literal["prompt", "picture", "logits", "weights-read", "weights-write"]
"""What an attacker must have a hand on, the least first. Results of two kinds of access are never averaged."""

Records = dict[str, list[dict[str, Any]]]
"""What was found, by variant of the asking: a record a sample, as the task keeps them. "" where there is one alone."""

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Of each metric, by cluster (a person), the values of single questions; their order does not matter."""


class AttackParams(Params):
    """What every attack may be told."""

    guard: Literal["on", "off"] = Field(
        "on",
        description="off: what a method put beside the model's own weights is left out, as whoever has the weights can",
    )
    utility: int = Field(48, ge=1, description="questions of the retain set that are asked beside, to see what it cost")


@dataclass(frozen=True)
class Asking:
    """How samples are asked about: by default as they are, once, greedily, and with their likelihoods.

    ``query`` makes of a sample what is put before the model; ``likelihoods`` are those of the true and false answers.
    Without ``answers`` nothing is said, so that predictions are empty. With ``tokens`` a record holds, under that name,
    of every token of the true answer what `WeighTokens` replies.
    """

    query: Callable[[Sample], Query] | None = None
    sampling: Sampling | None = None
    likelihoods: bool = True
    reworded: bool = False
    """Whether the forget set's questions are asked in other words too."""
    draws: Sequence[Sampling] = ()
    """Each question is answered once by each of these, in place of ``sampling``; a record holds all that was said,
    under that name and in their order, and its prediction is the first. What they have in common is so read once."""
    answers: bool = True
    tokens: bool = False
    one_casing: bool = False
    """Whether answers that are compared with each other, the true one in other words and false ones, are lower-cased:
    else one could be told from the others by its capitals."""
    gate: Literal["open", "closed"] | None = None
    """At what the model's gate is held meanwhile, where it has one (`unlearnbench.Gate`); None: it decides itself."""

    def of(self, sample: Sample) -> Query:
        """What is asked of a sample."""
        return self.query(sample) if self.query else sample

    @property
    def rules(self) -> tuple[Sampling | None, ...]:
        """How each of its answers is drawn, by their places; None: it is the likeliest."""
        return (*self.draws,) or (self.sampling,)


AS_IT_IS = Asking()
"""No attack at all."""


class Target(Protocol):
    """What an attack is aimed at, beside the model itself."""

    @property
    def sets(self) -> "Sets":
        """All sets of the task, those too that are out of every method's reach."""

    @property
    def victims(self) -> tuple[Sample, ...]:
        """What the attack is to bring back: what `Attack.victims` named."""

    @property
    def utility(self) -> tuple[Sample, ...]:
        """Questions of the retain set, the same for every model, half of them of the forgotten clusters if possible."""

    @property
    def variant(self) -> str:
        """Which of the models that `Attack.change` made is asked."""

    @property
    def task(self) -> "Task":
        """What is asked, and what a score is made of."""

    def picture(self, recipe: object, make: "Callable[[], Image]") -> Path:
        """The file of a picture to be asked about, losslessly as ``make`` makes it, the same for all models.

        ``recipe``, of JSON's types, is all that it follows from: what was made by it once is not made again.
        """

    @property
    def cost(self) -> Mapping[str, Any]:
        """What it took to make the model before it was attacked, as its row says: ``train_seconds`` for one."""

    def other_views(self, samples: Iterable[Sample]) -> Mapping[str, Query]:
        """The samples, by their ids, on other pictures, on which nobody trained; those that can be asked so."""

    def scenes(self) -> Mapping[str, Sequence[Path]]:
        """Pictures that have nothing to do with what is forgotten, by the task that asks about them.

        Those of the data at hand alone: nothing is fetched.
        """

    def records(
        self, model: "VLM", asked: Mapping[str, Sequence[Sample]], how: Asking = AS_IT_IS
    ) -> list[dict[str, Any]]:
        """What the task keeps of these samples' answers, by the set that they stand for: a record a sample."""

    def beside(self, name: Literal["pretrained", "base"]) -> "VLM":
        """Another model of the cell's chain, which the attack ``needs``, on the same device.

        It is to be asked through `records`, which keeps its answers apart, or without the run's journal, which is that
        of the model that is attacked.
        """


class Attack:
    """An attempt to bring back what was unlearned, or an audit that looks whether it is still there.

    It is aimed at unlearned models, at the retrained one and at the base alike, with the same data, budget and seed: so
    doing nothing scores 0 and retraining 1 under any attack. One that changes the model (further training, fewer bits)
    defines `change`; one that only asks otherwise defines `ask` alone.

    Subclasses nest a class ``Params``, a subclass of `AttackParams`, and are named by ``@attack`` or by the class
    attribute ``name``, which is then also the name of their entry point in the group ``unlearnbench.attacks``.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Goes into the key of everything stored: raise it when the attack does something else than before."""
    reference: ClassVar[str] = ""
    access: ClassVar[Access]
    needs: ClassVar[tuple[Literal["pretrained", "base"], ...]] = ()
    """Other models of a cell that `ask` looks at beside the one that it attacks."""
    absorbs: ClassVar[bool] = False
    """Whether `change` and its edits find an adapter of the method's beside the weights, as it is where nobody attacks.

    Else it is part of them by then, and the sum rounded to the model's precision. For what rounds the sum itself, all
    the more: its edits call `unlearnbench.absorb`."""
    levels: ClassVar[Mapping[str, Sequence[str]] | None] = None
    """The metrics of each level of its score, as `Scored.levels`; None: the task's own.

    Metrics of its own are called by its name, ``NAME.WHAT``, and higher values of them always tell more."""
    clean: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Of ``levels`` of its own: the task's metrics that each is compared with where nobody attacks, which measure the
    same; of one that is not named here, those of the task's level of that name."""
    worst: ClassVar[str] = ""
    """The variant that has of every person what tells most over the others, where `ask` makes one by itself.

    Then it alone is what the attack came to, and the others are shown. Else that is made of their `values`: for all
    models alike, of every person those of the variant that tells most, of variants that ask the same."""
    two_sided: ClassVar[bool] = False
    """Whether values below the retrained model's give a method away as those above do: membership, for one."""
    controls: ClassVar[Mapping[str, float]] = {}
    """Full names of metrics in which an attacked model must reach this share of the attacked retrained one's value.

    Else nothing is concluded: a model that can learn nothing any more is not robust."""
    axis: ClassVar[str] = ""
    """What its variants differ in by degrees, "steps" for instance: what is left over these is then a curve."""
    Params: ClassVar[type[AttackParams]] = AttackParams

    params: AttackParams
    """What it was made with. A subclass says ``params: Params`` below its own class, for mypy to check their use."""

    def __init__(self, params: AttackParams) -> None:
        self.params = params

    # ---------------------------------------------------------------------------------------------------- the attack
    def tasks(self) -> tuple[str, ...]:
        """Names of other tasks whose questions it wants: their `Task.samples` are then in ``sets.further``, by name."""
        return ()

    def victims(self, sets: "Sets") -> tuple[Sample, ...]:
        """What the attack is to bring back: by default the forget set.

        Where the attacker is given some of it, the rest: nothing that `change` has trained on is asked.
        """
        return sets.forget

    def change(self, model: "VLM", sets: "Sets", run: "Run") -> "Mapping[str, Edit]":
        """What the attack makes of a model: edits of it by the names of their variants, each asked by itself.

        Names are short words without dots, "4 bits" for instance. The model may be left in any state. Not to be defined
        by an attack that leaves the model as it is.
        """
        return {}

    @classmethod
    def edit_class(cls) -> "type[Edit] | None":
        """The class that reads back what `change` returned; None for what training changed."""
        return None

    def ask(self, model: "VLM", target: Target, run: "Run") -> Records:
        """Ask what the attack wants to know, and leave the model as it came.

        By default the victims, and questions of the retain set, as the task asks them.
        """
        return {"": target.records(model, {"forget": target.victims, "retain": target.utility})}

    @classmethod
    def changes(cls) -> bool:
        """Whether it changes the model."""
        return cls.change is not Attack.change

    # -------------------------------------------------------------------------------------------- what came of it
    def measured(self, task: "Task", records: Sequence[Any]) -> "dict[str, MetricValue]":
        """Metrics of the records of one variant, by their full names: those that the task has of these records."""
        found = task.measured(records).metrics
        return {name: value for name, value in found.items() if value.n}

    def overall(self, task: "Task", found: Mapping[str, Sequence[Any]]) -> "dict[str, MetricValue]":
        """Metrics of the records of several variants together, by their full names: by default none."""
        return {}

    def values(self, task: "Task", records: Sequence[Any]) -> Values:
        """The values of single questions of one variant, for its score: by default those that the task ranks by.

        A variant of which no model has any is not scored: one that is there as a control, for instance.
        """
        return task.by_question(records)

    def compared(self, values: Values, ideal: Values) -> Values:
        """A model's `values` beside those of the retrained one that was attacked alike: by default as they are.

        The score is made of these, for the retrained model and the base too. To be defined where a value means nothing
        by itself; values of the same questions then stand in one order.
        """
        return values

    def degree(self, variant: str) -> float | None:
        """Where on the ``axis`` a variant stands; None where it is no point of the curve."""
        return None

    def told_apart(self, records: Sequence[Any]) -> Mapping[str, tuple[Sequence[float], Sequence[float]]]:
        """For pictures, of the records of one variant: scores of what an audit is to tell, and of what it is told from.

        By the name of the former; none where there is nothing of the kind.
        """
        return {}

    def footprint(self, model: "Counts", work: "Workload") -> "Footprint | None":
        """What `change` needs on a model of these counts, for ``plan --memory``; None where it is not known."""
        return self.params.footprint(work)


def of_variant(metric: str, variant: str) -> str:
    """The full name of a metric that was taken of one variant."""
    head, dot, tail = metric.partition(".")
    return f"{head}@{variant}{dot}{tail}" if variant else metric


def named(variants: Iterable[str]) -> str:
    """What a variant of the model and one of the asking are called together."""
    return ", ".join(filter(None, variants))
