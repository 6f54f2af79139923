"""What a leaderboard is: ``leaderboard.toml`` in a folder of its own, beside ``rows/`` with what was sent to it."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ..contracts.metric import Direction
from ..contracts.scored import LEAST_GAP
from ..errors import DataError, UsageError
from ..metrics.direction import side
from ..registry import did_you_mean

FILE = "leaderboard.toml"
ROWS = "rows"
CHECKS = "metrics"
"""The folder of what `unlearnbench metrics-check` found, a file a model."""
FOLDER = "leaderboards"
"""Where leaderboards are looked for by name, in the working folder; then among those that ship with the package."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TAKEN = {"assets", "pictures", "index.html"}
"""What the site has beside the leaderboards' folders."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Side = Literal["higher", "lower", "retrained", "neither"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelRule(_Entry):
    """A model that methods are compared on, and what its rows must say; whatever is left out, they must agree on."""

    family: str | None = None
    weights_digest: Digest | None = None
    revision: str | None = None
    dtype: str | None = None
    base: dict[str, Any] = Field(default_factory=dict)
    """Hyperparameters of the base model that are prescribed."""
    bases: list[Literal["full", "8bit", "offload", "lora"]] = Field(default_factory=list)
    """The kinds of base that count (`--base`); all where none is named."""


def _several(value: object) -> object:
    """One value may stand for a list of one."""
    return [value] if isinstance(value, str) else value


Digests = Annotated[tuple[Digest, ...], BeforeValidator(_several)]


class DataRule(_Entry):
    """The only data that a task may have been run on.

    Several fingerprints are editions of the data: rows on each are ranked by themselves.
    """

    source: Literal["embedded", "hub", "folder"] | None = None
    id: str | None = None
    revision: str | None = None
    fingerprint: Digests = ()


class SplitRule(_Entry):
    """Who must have been forgotten; ``unlearnbench leaderboard split`` prints it."""

    name: str | None = None
    """What readers may call it: nothing is compared by it."""
    identities: int | None = Field(None, gt=0)
    of: int | None = Field(None, gt=0)
    digest: Digest | dict[str, Digest] | None = None
    """The people's, or that of each seed where seeds draw them."""
    schema_1: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    """What rows of schema 1 call it, which say no more; without it, such rows do not fit."""

    @model_validator(mode="before")
    @classmethod
    def _sentence(cls, value: Any) -> Any:
        return {"schema_1": value} if isinstance(value, str) else value

    def digest_of(self, seed: int) -> str | None:
        """Who must have been forgotten with that seed; None where it is left open."""
        return self.digest.get(str(seed)) if isinstance(self.digest, dict) else self.digest


class TaskRule(_Entry):
    """A task of the leaderboard: every method must have been run on it, so."""

    version: str | None = None
    split: SplitRule | None = None
    data: DataRule = DataRule()
    options: dict[str, Any] = Field(default_factory=dict)


class AttackRule(_Entry):
    """An attack that every method of the leaderboard must have been put through, and how."""

    version: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)


class ReferenceRule(_Entry):
    """The methods that scores are measured against: one that does nothing, and the ideal."""

    nothing: str = Field(min_length=1)
    ideal: str = Field(min_length=1)
    also: tuple[str, ...] = ()
    """Further references that are shown."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = (self.nothing, self.ideal, *self.also)
        if len({*names}) < len(names):
            raise ValueError("a method stands there twice: nothing, ideal and also are methods of their own")
        return self


class AtLeast(_Entry):
    """What a reference must score at least."""

    metric: str
    at_least: float = Field(gt=0, le=1)


Level = Annotated[tuple[str, ...], Field(min_length=1)]


class Ranking(_Entry):
    """The rule by which methods are ranked; docs/leaderboards.md has the formula."""

    memorised: AtLeast
    """By the model that does nothing, or there was nothing to forget."""
    learned: AtLeast
    """By the ideal, of what is to be kept: else it would be no measure of what may be lost."""
    levels: dict[str, Level] = Field(min_length=1)
    """Metrics by what an asker can see, first what the model says; a score is the lowest share of all."""
    also_traced: tuple[str, ...] = ()
    """Likelihoods of the truth that rank nobody, as they don't tell who knows, and leave a trace all the same."""
    least_gap: float = Field(LEAST_GAP, gt=0)
    """How much of each of them doing nothing must give away beyond the ideal, a question."""
    conditions: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(min_length=1)
    """Metrics that must be kept, with how far each may fall below the lower of the two references, in its own unit."""
    widest: float = Field(0.25, gt=0, le=1)
    """Half the width of a score's interval beyond which a method is not ranked."""

    @model_validator(mode="after")
    def _kept_or_forgotten(self) -> Self:
        if both := [name for name in self.forgetting if name in self.conditions]:
            raise ValueError(f"{both[0]} is in a level and a condition: what is to be forgotten need not be kept")
        return self

    @property
    def forgetting(self) -> tuple[str, ...]:
        """The metrics of all levels, in order."""
        return tuple(dict.fromkeys(name for metrics in self.levels.values() for name in metrics))

    @property
    def told(self) -> tuple[str, ...]:
        """All of which values of single questions are wanted: of levels and of the trace."""
        return tuple(dict.fromkeys((*self.forgetting, *self.also_traced)))

    @property
    def traced(self) -> tuple[str, ...]:
        """Those by which a method can be told from the ideal: of every level but what the model says, and some more."""
        _, *unsaid = self.levels.values()
        return tuple(dict.fromkeys(name for metrics in (*unsaid, self.also_traced) for name in metrics))


class ColumnRule(_Entry):
    """A column: a metric, its heading, which way is better, and what it says in a sentence or two."""

    metric: str
    group: str
    label: str
    direction: Side
    about: str

    @property
    def best(self) -> Direction | None:
        """The direction as metrics say it."""
        return None if self.direction == "neither" else self.direction

    @property
    def higher_is_better(self) -> bool | None:
        """Which side is better; None for neither, and where the retrained model's value is best."""
        return side(self.best)


class Definition(_Entry):
    """``leaderboard.toml``."""

    schema_version: Literal[2]
    title: str
    about: str
    """What the numbers are of, and what they are not."""
    seeds: tuple[Annotated[int, Field(ge=0, strict=True)], ...] = Field(min_length=1)
    """With which every method must have been run, and with no others: nobody chooses them."""
    models: dict[str, ModelRule] = Field(min_length=1)
    tasks: dict[str, TaskRule] = Field(min_length=1)
    attacks: dict[str, AttackRule] = Field(default_factory=dict)
    """Every method must have been attacked by these, on every task that people are forgotten from; none by default."""
    references: ReferenceRule
    ranking: Ranking
    columns: tuple[ColumnRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ranks_by_columns(self) -> Self:
        shown = {column.metric for column in self.columns}
        ranked = (*self.thresholds, *self.ranking.forgetting, *self.ranking.conditions)
        if missing := [metric for metric in ranked if metric not in shown]:
            raise ValueError(f"the ranking uses {missing[0]}, which has no [[columns]] entry: add one")
        sided = {column.metric for column in self.columns if column.higher_is_better is not None}
        if missing := [metric for metric in self.ranking.conditions if metric not in sided]:
            raise ValueError(f"{missing[0]} is a condition, and its column says that neither direction is better")
        if len(shown) < len(self.columns):
            raise ValueError("two [[columns]] entries have the same metric: remove one")
        if len({*self.seeds}) < len(self.seeds):
            raise ValueError("seeds: one of them stands there twice: remove it")
        for name, task in self.tasks.items():
            digests = task.split.digest if task.split else None
            if isinstance(digests, dict) and digests.keys() != {*map(str, self.seeds)}:
                raise ValueError(f"tasks.{name}.split.digest must have a digest of each of the seeds, and of no others")
        return self

    @property
    def thresholds(self) -> tuple[str, str]:
        """The metrics by which references are judged."""
        return self.ranking.memorised.metric, self.ranking.learned.metric


@dataclass(frozen=True)
class Board:
    """A leaderboard: its folder and its definition."""

    folder: Path
    definition: Definition

    @property
    def name(self) -> str:
        """The folder's name, which is the leaderboard's in commands and addresses."""
        return self.folder.name

    @property
    def rows(self) -> Path:
        """The folder of submissions."""
        return self.folder / ROWS

    @property
    def submissions(self) -> list[Path]:
        """The files that were sent to it, in the order of their names."""
        return sorted([*self.rows.glob("*.jsonl"), *self.rows.glob("*.jsonl.xz")])

    def doubts(self, model: str) -> list[str]:
        """What checks say of the metrics that rank methods on a model; raises DataError for a damaged one."""
        from ..metrics_check.result import read_check
        from ..metrics_check.trusted import RankedBy

        rule = self.definition
        found = [read_check(path) for path in sorted((self.folder / CHECKS).glob("*.json"))]
        asked = {name: task for name, task in rule.tasks.items() if task.split is not None} or rule.tasks
        weights, metrics = rule.models[model].weights_digest, rule.ranking.forgetting
        ranked = [RankedBy(model, name, metrics, task.data.fingerprint, weights) for name, task in asked.items()]
        return [line for each in ranked for line in each.doubts(found)]


def read_board(folder: Path) -> Board:
    """The leaderboard in ``folder``; raises DataError where its definition is missing, damaged or contradictory."""
    folder = folder.resolve()
    path = folder / FILE
    if not _NAME.fullmatch(folder.name) or folder.name in _TAKEN:
        taken = f" other than {', '.join(sorted(_TAKEN))}"
        raise DataError(f"{folder}: a leaderboard's folder has a name of a-z, 0-9, '.', '_' and '-'{taken}: rename it")
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: missing; docs/leaderboards.md says what it holds") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); correct it") from None
    try:
        return Board(folder, Definition.model_validate(fields))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{path}: {where + ': ' if where else ''}{message}") from None


def known() -> Mapping[str, Path]:
    """The folders of leaderboards by name: those in ``leaderboards/`` here go before those that ship with us."""
    found: dict[str, Path] = {}
    for parent in (_shipped(), Path(FOLDER)):
        if parent is not None and parent.is_dir():
            found |= {each.parent.name: each.parent for each in sorted(parent.glob(f"*/{FILE}"))}
    return found


def find(name: str) -> Board:
    """The leaderboard of that name, or in the folder of that path; raises UsageError where there is none."""
    folders = known()
    if name in folders:
        return read_board(folders[name])
    if (Path(name) / FILE).is_file():
        return read_board(Path(name))
    hint, there = did_you_mean(name, folders), ", ".join(folders) or "none"
    raise UsageError(f"no leaderboard {name!r}; {hint}give a folder with {FILE}, or one of those known: {there}")


def _shipped() -> Path | None:
    spec = find_spec("unlearnbench.leaderboards")
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None
