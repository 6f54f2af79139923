"""Hyperparameters and options: what ``--set`` sets, ``show`` prints and a row records."""

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from .footprint import Footprint, Workload


class Params(BaseModel):
    """Hyperparameters of a method, options of a task: every field has a default, and no other name is accepted.

    A field's default and its ``description`` are what ``unlearnbench show`` prints; nothing repeats them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """Other defaults by the scale of the model ("tiny", "large"), or, for methods, by scale and family
    ("large/FAMILY"): only the fields that differ, dotted (``lora.rank``) within nested models. Those of base classes
    hold too."""
    trials: ClassVar[dict[str, int]] = {}
    """By scale, how many trials the defaults were chosen from on validation data; none where they were not tuned."""
    variants: ClassVar[dict[str, dict[str, Any]]] = {}
    """Named settings, such as the ablations of a paper: ``--set METHOD.variant=NAME`` sets those parameters, and
    ``full`` none."""

    @classmethod
    def preset(cls, scale: str, family: str = "") -> dict[str, Any]:
        """The defaults that differ for a model of this scale and family, those of base classes included."""
        found: dict[str, Any] = {}
        for kind in reversed(cls.__mro__):
            own = vars(kind).get("presets", {})
            found |= own.get(scale, {}) | own.get(f"{scale}/{family}", {})
        return found

    def footprint(self, work: "Workload") -> "Footprint | None":
        """What a training by these parameters needs; None where they do not say, being of no training that we know."""
        return None


class MetricOptions(Params):
    """Options of a task that takes registered metrics, with `unlearnbench.metrics.measure.measure_sets`.

    What is not given is not in the row, which so stays what it was before there was the option.
    """

    metrics: tuple[str, ...] = Field(
        (), description="further metrics, by their names, computed on every set", exclude_if=lambda names: not names
    )


class Continued(Params):
    """Hyperparameters of a method that trains on from what another has unlearned (`Method.start` is "unlearned")."""

    method: str = Field("", description="the method whose model it goes on with")
