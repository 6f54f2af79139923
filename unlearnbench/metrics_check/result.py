"""The result of a check, as a file: what was checked, every figure, and of each metric whether it may be ranked by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import DataError
from ..metrics.distances import auc
from ..results.row import DataInfo, ModelInfo, Moment, Split
from .figures import DIGITS, MetricFigures, d_prime, seed_sd

SCHEMA: Final = 1
"""Raised only when a field is renamed or removed or changes its meaning; new fields leave it as it is."""

FAITHFULNESS: Final = 0.9
"""The least AUC of models that know against those that do not."""
FAITHFULNESS_LOW: Final = 0.8
"""The least lower end of its interval."""
D_PRIME: Final = 3.0
"""The least distance of the references, in standard deviations of seeds."""
FLOOR: Final = 0.1
"""The most by which two retrained models may differ, on the scale of shares."""

_EXACT = 1e-9


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class KindEntry(_Entry):
    """A kind of model in the pool: of how many samples of how many it was made of."""

    name: str
    knows: bool
    about: str
    altered: int = 0
    of: int = 0


class LeftOut(_Entry):
    """A kind of model that is not in the pool, and why."""

    name: str
    why: str


class Robustness(_Entry):
    """How a metric behaves under an attack on weights, a mean over unlearned models; 1 is best.

    ``rise`` is how far it rises no more than on a retrained model that is attacked alike, ``stay`` how far it stays;
    the symmetric ones punish a fall as a rise.
    """

    rise: float
    rise_symmetric: float
    stay: float
    stay_symmetric: float


class MetricEntry(MetricFigures):
    """One metric: figures, whether it passes, and what speaks against it."""

    model_config = _Entry.model_config

    metric: str
    robustness: dict[str, Robustness] = Field(default_factory=dict)
    """By attack."""
    passes: bool
    reasons: tuple[str, ...]
    """Why it does not pass; empty where it does."""

    @classmethod
    def of(cls, metric: str, found: MetricFigures, robustness: Mapping[str, Robustness]) -> Self:
        """The entry of these figures, with its verdict."""
        fields = found.model_dump()
        reasons = tuple(_faults(fields))
        return cls(metric=metric, **fields, robustness=dict(robustness), passes=not reasons, reasons=reasons)

    @model_validator(mode="after")
    def _as_its_figures(self) -> Self:
        reasons = tuple(_faults(self.model_dump()))
        if reasons != self.reasons or self.passes == bool(reasons):
            raise ValueError(f"the verdict on {self.metric} is not that of its figures")
        spread = seed_sd(self.means)
        side = 1.0 if self.higher_knows else -1.0
        own = d_prime(side * (self.nothing - self.ideal), spread)
        if abs(spread - self.seed_sd) > _EXACT or not _same(own, self.d_prime):
            raise ValueError(f"d' of {self.metric} is not that of its means")
        return self


def _faults(fields: Mapping[str, Any]) -> "list[str]":
    """What speaks against a metric of these figures, each in a clause."""
    found = []
    value, low = fields["faithfulness"], fields["faithfulness_low"]
    if value < FAITHFULNESS or low < FAITHFULNESS_LOW:
        turned = ", the other way round" if value < 1 - FAITHFULNESS else ""
        found.append(
            f"tells who knows with an AUC of {value:.2f} (from {low:.2f}){turned}; wanted {FAITHFULNESS} (from "
            f"{FAITHFULNESS_LOW})"
        )
    if (apart := fields["d_prime"]) is not None and apart < D_PRIME:
        found.append(f"the references are {apart:.1f} standard deviations of seeds apart; wanted {D_PRIME:g}")
    if apart is None and fields["higher_knows"] != (fields["nothing"] > fields["ideal"]):
        found.append("the references are the wrong way round")
    if (floor := fields["floor"]) is None:
        found.append("doing nothing tells no more than retraining: there is no scale")
    elif floor > FLOOR:
        found.append(f"two retrained models differ by {floor:.2f} of the scale; wanted {FLOOR} at most")
    ends = [(0.0, fields["at_nothing"]), (1.0, fields["at_ideal"])]
    if floor is not None and any(each is None or each != end for end, of in ends for each in of):
        found.append("doing nothing is not exactly 0, or retraining not exactly 1")
    return found


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(abs(one - other) <= 10 ** -(DIGITS // 2) * max(1.0, abs(one)))


class Tau(_Entry):
    """How alike two rankings of methods are: Kendall's tau-b, null where one of them has no order; and of how many."""

    of: str
    against: str
    tau: float | None
    methods: int


class Rankings(_Entry):
    """How alike methods are ranked by different metrics, with different seeds, and with a guard on and off."""

    metrics: tuple[Tau, ...] = ()
    seeds: tuple[Tau, ...] = ()
    guards: tuple[Tau, ...] = ()


class CheckedTask(_Entry):
    """Whose metrics were checked."""

    name: str
    version: str
    options: dict[str, Any]


class MetricsCheck(_Entry):
    """What a check found."""

    schema_version: Literal[1] = SCHEMA
    task: CheckedTask
    data: DataInfo
    split: Split | None
    model: ModelInfo
    base: dict[str, Any]
    """How the base models were trained."""
    seeds: tuple[int, ...]
    """Of training; the first drew the people."""
    questions: int
    people: int
    kinds: tuple[KindEntry, ...]
    left_out: tuple[LeftOut, ...] = ()
    metrics: tuple[MetricEntry, ...]
    unmeasured: tuple[LeftOut, ...] = ()
    """Metrics that have no figures, and why."""
    nulls: tuple[MetricEntry, ...]
    """A constant and a random metric, which must not pass: else the check tells nothing."""
    rankings: Rankings | None = None
    """Of stored rows, if any were given."""
    unlearnbench: str
    made_at: Moment

    @model_validator(mode="after")
    def _nulls_fail(self) -> Self:
        if fooled := [each.metric for each in self.nulls if each.passes]:
            raise ValueError(f"the check passes {fooled[0]}, which knows nothing: it tells nothing of others")
        return self

    @model_validator(mode="after")
    def _as_the_means(self) -> Self:
        kinds = {each.name: each.knows for each in self.kinds}
        for each in (*self.metrics, *self.nulls):
            if each.means.keys() != kinds.keys():
                raise ValueError(f"{each.metric} has no means of the very kinds that were checked")
            if not _same(_auc_of(each, kinds), each.faithfulness):
                raise ValueError(f"the AUC of {each.metric} is not that of its means")
        return self

    @property
    def passing(self) -> frozenset[str]:
        """The metrics, ``SET.METRIC``, that may be ranked by."""
        return frozenset(each.metric for each in self.metrics if each.passes)

    def against(self, metric: str) -> str | None:
        """What speaks against ranking by a metric; None where nothing does."""
        entry = next((each for each in self.metrics if each.metric == metric), None)
        if entry is not None:
            return "; ".join(entry.reasons) or None
        return next((each.why for each in self.unmeasured if each.name == metric), "it was not checked")


def read_check(path: Path) -> MetricsCheck:
    """A check from its file; raises DataError where it is missing, damaged or contradicts itself."""
    try:
        return MetricsCheck.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: missing; unlearnbench metrics-check --out {path.name} writes it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None


def _auc_of(entry: MetricEntry, kinds: Mapping[str, bool]) -> float | None:
    """The AUC of an entry's means, of kinds that know and kinds that do not."""
    side, parts = 1.0 if entry.higher_knows else -1.0, dict[bool, list[float]]({True: [], False: []})
    for kind, means in entry.means.items():
        parts[kinds[kind]] += [side * each for each in means.values()]
    return auc(parts[True], parts[False])
