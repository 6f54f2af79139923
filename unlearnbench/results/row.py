"""The row: one cell's result as one JSON object. Its field names are public and fixed (schema version 2)."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import core_schema

SCHEMA_VERSION: Final = 2
"""Raised only when a field is renamed or removed or changes its meaning; new fields leave it as it is."""
SCHEMAS: Final = (1, SCHEMA_VERSION)
"""The schemas that are read. In schema 1 a split was a sentence, which is taken as a name and as nothing else."""


def _utf8(value: object) -> object:
    """Text that UTF-8 can hold: file names and arguments may carry bytes that it cannot."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


NO_REASON = "a metric without a value needs a reason"


class _Utf8:
    """Of text from Python, what UTF-8 cannot hold is replaced; JSON holds no such text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        text = core_schema.str_schema()
        ours = core_schema.no_info_before_validator_function(_utf8, text)
        return core_schema.json_or_python_schema(json_schema=text, python_schema=ours)


Text = Annotated[str, _Utf8()]


class _FiniteOrNull:
    """From Python what is not finite becomes null; JSON has no word for it, and its numbers are checked without us."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        number = core_schema.nullable_schema(core_schema.float_schema(allow_inf_nan=False))
        ours = core_schema.no_info_before_validator_function(_finite, number)
        return core_schema.json_or_python_schema(json_schema=number, python_schema=ours)


Number = Annotated[float | None, _FiniteOrNull()]
"""A finite number; NaN and the infinities become null."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("not a moment that UTC can tell") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A point in time, kept and written in UTC."""


class _Part(BaseModel):
    """Fields that a newer version added are kept and written back, so that copying a row loses nothing."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Failure(_Part):
    """Why a cell has no result; ``log`` is its log's path in the results folder, if it has one."""

    type: str
    message: Text
    log: Text | None = None


class MadeElsewhere(_Part):
    """A model that was made elsewhere: what it was named, paths from the root on, and the digest of all its weights."""

    source: Text
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class MethodInfo(_Part):
    """The method that made the model; ``origin`` is the package or file that it came from."""

    name: str
    version: str
    origin: str
    params: dict[str, Any]
    role: Literal["method", "reference"] = "method"
    """A reference (the base model, a retrained one) is what methods are compared with, and never the best of them."""
    frozen_weights: bool | None = None
    """Whether the model's own weights were left alone; null in rows from before that was told."""
    code: str | None = None
    """The SHA-256 of a plug-in that is a single file, whose version nobody raises; null for those of packages."""
    n_trials_tuned: int | None = None
    """How many trials the default hyperparameters were chosen from; null where any was set by the command."""
    continues: "MethodInfo | None" = None
    """The method whose unlearned model this one went on with; null where it started by itself."""
    elsewhere: MadeElsewhere | None = None
    """The model, where other code than ours made it; every seed may have one of its own."""


class AttackInfo(_Part):
    """What an unlearned model was attacked by, aimed at so many people and questions.

    Metrics of one of its ``variants`` are named ``SET@VARIANT.METRIC``.
    """

    name: str
    version: str
    origin: str
    params: dict[str, Any]
    access: str
    code: str | None = None
    """As of a method."""
    variants: list[str] = Field(default_factory=list)
    people: int | None = None
    questions: int | None = None
    scenes: dict[str, str] | None = None
    """Of the tasks whose pictures it was shown as scenes, the fingerprints of the data that were at hand."""


class ModelInfo(_Part):
    """The model that the method started from; null where the cell failed before it was known."""

    name: str
    family: str
    source: str
    revision: str | None
    weights_digest: str | None
    dtype: str | None
    template_digest: str | None = None
    """Of the chat template's file, which decides what a model reads around a question."""


class DataInfo(_Part):
    """The data of a task; ``fingerprint`` is a digest of its content."""

    source: str
    id: str
    revision: str | None
    fingerprint: str | None


def _sha256(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Split(_Part):
    """Who is forgotten, and who and what stays out of it: ``digest`` tells one such division of people from another.

    Of a row of schema 1 only the ``name`` is known.
    """

    name: str
    """What the set of forgotten people is called: for readers, and for nothing else where there is a digest."""
    identities: int | None = None
    """How many people are forgotten."""
    of: int | None = None
    """How many people the data have."""
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """The SHA-256 of the ids of people forgotten, held out and for validation and of the private groups' names."""

    drawn: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Where the row's seed draws the people: the SHA-256 of how many they are and of the private groups' names, which
    rows of other seeds share, though they have other people."""

    @model_validator(mode="before")
    @classmethod
    def _sentence(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def made(
        cls,
        name: str,
        of: int,
        forget: Iterable[str],
        *,
        validation: Iterable[str] = (),
        held_out: Iterable[str] = (),
        private: Iterable[str] = (),
        drawn: str | None = None,
    ) -> Self:
        """The split that forgets the people ``forget`` of ``of``, by their ids; the order of ids does not matter.

        ``drawn``: where the cell's seed draws them, and as many others for another seed, what all of these are called.
        A split without a validation set has the digest that it had before there were such sets.
        """
        parts = {"forget": sorted({*forget}), "held_out": sorted({*held_out}), "private": sorted({*private})}
        if aside := sorted({*validation}):
            parts["validation"] = aside
        by_seed = {each: len(of_part) for each, of_part in parts.items()} | {"private": parts["private"]}
        rule = _sha256({"name": drawn, "of": of, **by_seed}) if drawn else None
        return cls(name=name, identities=len(parts["forget"]), of=of, digest=_sha256(parts), drawn=rule)

    @property
    def key(self) -> str:
        """What two splits are the same by: the digest, or of schema 1 the whole sentence."""
        return self.digest or self.name

    @property
    def setting(self) -> str:
        """What rows of several seeds are averaged by: the `key`, or where seeds draw the people, how they do."""
        return self.drawn or self.key


class TaskInfo(_Part):
    """What was evaluated."""

    name: str
    version: str
    data: DataInfo
    split: Split | None
    options: dict[str, Any]
    code: str | None = None
    """As of a method, the digest of a single file."""
    protocol: dict[str, Any] = Field(default_factory=dict)
    """What the options stood for: the scorer with its version, the prompt with its digest, how much was asked."""


def _say_why_null(fields: Any) -> Any:
    if not isinstance(fields, dict) or fields.get("reason"):
        return fields
    value = fields.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        return fields | {"reason": "not a number" if math.isnan(value) else "infinite"}
    if value is None:
        raise ValueError(NO_REASON)
    return fields


class Score(_Part):
    """A score with its 95% interval; ``n`` counts what it is a mean of. A null ``value`` has a ``reason``."""

    value: Number
    ci_low: Number = None
    ci_high: Number = None
    n: int
    higher_is_better: bool | None
    """Null where neither direction is better, as for the share of yes answers."""
    reason: str | None = None
    questions: int | None = None
    """How many questions of the set the value rests on, where that is told."""
    of_questions: int | None = None
    """How many questions the set has."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """What comes from Python may be no number and is given a reason; `Row` checks what comes from a file."""
        schema = handler(source)
        ours = core_schema.no_info_before_validator_function(_say_why_null, schema)
        return core_schema.json_or_python_schema(json_schema=schema, python_schema=ours)


class Cost(_Part):
    """What the cell took: seconds of wall clock, bytes at the peak; null where it was not measured.

    ``samples_per_second`` counts training samples; the peak is that of unlearning, or of evaluating where
    nothing is unlearned. The seconds of an epoch and the samples per second are those of training steps: looks at
    losses, by which training stops early, count in ``train_seconds`` alone.
    """

    trainable_parameters: int | None = None
    train_seconds: Number = None
    seconds_per_epoch: Number = None
    samples_per_second: Number = None
    eval_seconds: Number = None
    peak_memory_bytes: int | None = None
    examples: dict[str, NonNegativeInt] | None = None
    """How many examples of each set (``forget``, ``nonprivate``, ``others``, ``validation``, ``held_out``) training
    saw, repeats counted; empty where nothing was trained."""
    epoch: str | None = None
    """What an epoch of ``seconds_per_epoch`` is, in words: methods go through different sets."""


class Git(_Part):
    """The commit of the code, and whether the code differed from it."""

    sha: str
    dirty: bool


class Environment(_Part):
    """What the cell ran on; ``git`` is null where the package does not run from a checkout.

    ``processes`` worked on it together, one a GPU.
    """

    unlearnbench: str
    git: Git | None
    python: str
    packages: dict[str, str]
    device: str
    os: str
    processes: int = 1
    exact: bool = False
    """Whether every prompt of the evaluation was read from its start, with no shortcut."""


class Samples(_Part):
    """Where the raw output of every sample lies, relative to the results folder, and the file's digest."""

    path: Text
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Row(_Part):
    """One cell's result. Construct it with everything known; `RowStore.append` writes it."""

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    row_id: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*$", max_length=128)
    """The digest of all that determines the result: the rows of one cell share it, whenever they were run."""
    status: Literal["ok", "error", "skipped"]
    error: Failure | None = None
    """Null exactly where the status is ok."""
    method: MethodInfo
    model: ModelInfo
    task: TaskInfo
    attack: AttackInfo | None = None
    """What the unlearned model was attacked by; null where it was evaluated as it is."""
    seed: int
    base_seed: int
    """The seed of the base model's training, which methods on one base share."""
    trained_on: DataInfo | None = None
    """The data that base and method were trained on, which another task's rows evaluate too; null in older rows."""
    metrics: dict[str, Score]
    cost: Cost
    environment: Environment
    base: dict[str, Any] | None = None
    """The base model's hyperparameters, cost and outcome; null for a method that starts from the pretrained model."""
    baselines: dict[str, dict[str, Number]] = Field(default_factory=dict)
    """The same metrics of what needs no model, by its name: always saying yes, say."""
    notes: dict[str, Any] = Field(default_factory=dict)
    """What the method's training reported: last losses, why it stopped."""
    command: list[Text]
    samples: Samples | None = None
    started_at: Moment
    finished_at: Moment

    @model_validator(mode="after")
    def _ok_or_why(self) -> Self:
        if (self.status == "ok") != (self.error is None):
            raise ValueError("a row has an error exactly where its status is not ok")
        for metric in self.metrics.values():
            if metric.value is None and not metric.reason:
                raise ValueError(NO_REASON)
        return self

    @model_serializer(mode="wrap")
    def _as_its_schema_has_it(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A row of schema 1 is written as it was read: with its split as a sentence."""
        fields: dict[str, Any] = handler(self)
        task, split = fields.get("task"), self.task.split
        if self.schema_version == 1 and split and split == Split(name=split.name) and isinstance(task, dict):
            return fields | {"task": task | {"split": split.name}}
        return fields

    def to_line(self) -> bytes:
        """The row as one line of JSON with its newline; numbers that are not finite are null."""
        return self.model_dump_json().encode() + b"\n"


def utc_now() -> datetime:
    """The present moment, for ``started_at`` and ``finished_at``."""
    return datetime.now(UTC)


def latest(rows: Iterable[Row]) -> list[Row]:
    """The row that counts for each cell, in the cells' first order: its last ok row, or else its last."""
    counted: dict[str, Row] = {}
    for row in rows:
        if row.status == "ok" or row.row_id not in counted or counted[row.row_id].status != "ok":
            counted[row.row_id] = row
    return list(counted.values())
