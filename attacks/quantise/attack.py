"""Quantisation: do fewer bits a weight undo what unlearning changed by a little? Nobody need mean it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from unlearnbench import NOTHING, Attack, AttackParams, Footprint, MetricValue, attack

from .routes import Route, needed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unlearnbench import VLM, Counts, Edit, Run, Sets, Target, Task, Workload

    from .rounding import Quantised

WEIGHTS = "weights"
"""The set of the one record that is of no question."""


class QuantiseParams(AttackParams):
    """Round-to-nearest, symmetric, by groups of a row's numbers; or as a library rounds."""

    route: Route = Field("rtn", description="who rounds: rtn, this file; bnb-..: bitsandbytes, 4 bits alone; torchao")
    bits: tuple[int, ...] = Field((8, 4), min_length=1, description="bits a weight, each a variant")
    group: int = Field(128, ge=1, description="numbers of a row that share a scale")

    presets: ClassVar = {"tiny": {"group": 32}}

    @model_validator(mode="before")
    @classmethod
    def _four_bits(cls, values: Any) -> Any:
        if isinstance(values, dict) and str(values.get("route", "")).startswith("bnb"):
            return {"bits": (4,)} | values
        return values

    @model_validator(mode="after")
    def _as_the_route_can(self) -> Self:
        if not all(2 <= bits <= 16 for bits in self.bits):
            raise ValueError("a weight has 2 to 16 bits")
        if self.route.startswith("bnb") and self.bits != (4,):
            raise ValueError(f"route={self.route} has 4 bits alone: leave bits out")
        return self


@attack("quantise", reference="arXiv:2410.16454")
class Quantise(Attack):
    """The language model's linear layers rounded to 8 and to 4 bits, as models are when they are put to use.

    An adapter is added in float32, and the sum rounded: under a live one what it learned would stay in full precision,
    and rounded to the model's own precision first, it might be lost to that and not to fewer bits.
    Embeddings, head, projector, tower, and what a method put beside the weights stay as they are.
    """

    access = "weights-write"
    needs = ("base",)
    absorbs = True
    Params = QuantiseParams
    params: QuantiseParams

    def change(self, model: "VLM", sets: "Sets", run: "Run") -> "Mapping[str, Edit]":
        """A variant for each number of bits."""
        from .rounding import Quantised

        if self.params.route != "rtn":
            needed(self.params.route)
        return {f"{bits} bits": Quantised(bits, self.params.group, self.params.route) for bits in self.params.bits}

    def ask(self, model: "VLM", target: "Target", run: "Run") -> dict[str, list[dict[str, Any]]]:
        """The questions, and of how many weights the codes are no longer the base's."""
        from .rounding import codes_changed

        found = super().ask(model, target, run)
        if self.params.route != "rtn" or not target.variant:
            return found
        changed, of = codes_changed(model, target.beside("base"), int(target.variant.split()[0]), self.params.group)
        return {"": [*found[""], {"set": WEIGHTS, "id": "codes", "changed": changed, "of": of}]}

    def measured(self, task: "Task", records: Sequence[Any]) -> dict[str, MetricValue]:
        """The task's metrics, and the share of codes that changed."""
        found = super().measured(task, [each for each in records if each["set"] != WEIGHTS])
        for each in (each for each in records if each["set"] == WEIGHTS):
            found["quantise.codes_changed"] = MetricValue(each["changed"] / each["of"], None, None, each["of"], None)
        return found

    def values(self, task: "Task", records: Sequence[Any]) -> "Mapping[str, Mapping[str, Sequence[float]]]":
        """The task's own."""
        return super().values(task, [each for each in records if each["set"] != WEIGHTS])

    def footprint(self, model: "Counts", work: "Workload") -> Footprint:
        """Nothing is trained."""
        return NOTHING

    @classmethod
    def edit_class(cls) -> "type[Quantised]":
        """Its own."""
        from .rounding import Quantised

        return Quantised
