"""Building rows: what is known of a cell, what its stages took, and what evaluating its model gave."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..models.files.elsewhere import Elsewhere
from ..registry import attacks, methods, tasks
from ..results.row import (
    AttackInfo,
    Cost,
    DataInfo,
    Environment,
    Failure,
    MadeElsewhere,
    MethodInfo,
    ModelInfo,
    Row,
    Samples,
    Score,
    TaskInfo,
    utc_now,
)
from ..runtime.device import launch
from ..runtime.plain import Plain, utf8
from ..runtime.provenance import environment
from ..runtime.startup import command
from ..training.params import kind_of
from .planning import Aimed, Chosen, Plan
from .stages import BASE, changes

if TYPE_CHECKING:
    from ..contracts import Evaluation, TaskData
    from .runner import Made


def row_of(
    plan: Plan,
    started: datetime,
    made: "Sequence[Made]",
    evaluation: "Evaluation",
    samples: Samples,
    notes: dict[str, Any],
    evaluating: Cost,
) -> Row:
    """The row of a cell that went well; ``notes`` and the cost of ``evaluating`` are the evaluation's own."""
    last, base = made[-1].said, next((each.said for each in made if each.stage.name == BASE), None)
    return Row(
        status="ok",
        metrics={name: Score(**asdict(value)) for name, value in evaluation.metrics.items()},
        cost=_cost(last, evaluating) if _trained(plan) else evaluating,
        samples=samples,
        notes=(last["notes"] if _trained(plan) else {}) | notes | _doubts(plan),
        baselines=_baselines(plan, evaluation),
        base=base_of(plan) | base if base else None,
        **_header(plan, started, evaluation.facts),
    )


def _trained(plan: Plan) -> bool:
    """Whether the last stage is the cell's own, and not its clean twin's, which an attack only asks."""
    return plan.last is not plan.unlearned or plan.aimed is None


def _doubts(plan: Plan) -> dict[str, str]:
    """What is doubtful of the models from elsewhere: an adapter on a model that is not its own."""
    base = plan.base_elsewhere if plan.stages[0].name == BASE else None
    said = "; ".join(each.doubt for each in (base, plan.methods[-1].elsewhere) if each and each.doubt)
    return {"adapter": utf8(said)} if said else {}


def row_without(plan: Plan, started: datetime, failure: Failure) -> Row:
    """The row of a cell that failed."""
    return Row(status="error", error=failure, metrics={}, cost=Cost(), **_header(plan, started))


def _baselines(plan: Plan, evaluation: "Evaluation") -> dict[str, dict[str, float | None]]:
    """Of what needs no model, the metrics that tables show."""
    shown = {column.metric for column in (*plan.task.headlines, *plan.task.details)}
    return {
        name: {metric: value.value for metric, value in scores.items() if metric in shown}
        for name, scores in evaluation.baselines.items()
    }


def _cost(said: dict[str, Any], evaluating: Cost) -> Cost:
    """What the last stage took, as it was when it was computed, and what evaluating did.

    The peak of evaluating, which takes what memory is free, counts only where nothing was trained.
    """
    cost, edited = said["cost"], changes(said)
    peak = evaluating.peak_memory_bytes
    return Cost(
        trainable_parameters=said["trainable_parameters"],
        train_seconds=cost.get("train_seconds", 0.0),
        seconds_per_epoch=cost.get("seconds_per_epoch"),
        samples_per_second=cost.get("samples_per_second"),
        eval_seconds=evaluating.eval_seconds,
        peak_memory_bytes=cost.get("peak_memory_bytes", peak) if edited else peak,
        examples=cost.get("examples") if edited else {},
        epoch=cost.get("epoch"),
    )


def base_of(plan: Plan) -> dict[str, Any]:
    """How the base came about: by what hyperparameters, or from where."""
    if not (origin := plan.base_elsewhere):
        return {"kind": kind_of(plan.base.model_dump()), "params": plain_params(plan.base)}
    return {"params": {"weights": origin.digest} | plain_params(plan.base), "elsewhere": _origin(origin).model_dump()}


def _origin(found: Elsewhere) -> MadeElsewhere:
    return MadeElsewhere(source=utf8(found.source), digest=found.digest)


def _header(plan: Plan, started: datetime, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a row says of its cell, whatever came of it."""
    cell = plan.cell
    asked = facts if plan.aimed is None else None  # an attack's are told with it
    return {
        "row_id": plan.row_id,
        "method": _method(plan, plan.methods),
        "model": model_info(plan),
        "task": TaskInfo(
            name=cell.task,
            version=plan.task.version,
            code=tasks.code(cell.task),
            data=data_info(plan.data_source, plan.data),
            split=plan.unlearning.split,
            options=plain_params(plan.task.options),
            protocol=plan.task.protocol | (asked or {}),
        ),
        "attack": _attack(plan.aimed, facts or {}) if plan.aimed else None,
        "seed": cell.seed,
        "base_seed": cell.base_seed,
        "trained_on": data_info(plan.unlearning_source, plan.unlearning),
        "environment": Environment(**environment(_device_name(plan.device)), processes=_processes(), exact=cell.exact),
        "command": command(),
        "started_at": started,
        "finished_at": utc_now(),
    }


def model_info(plan: Plan) -> ModelInfo:
    """What a row says of the pretrained model."""
    source = plan.source
    return ModelInfo(
        name=utf8(plan.cell.model),
        family=source.card.family,
        source=utf8(source.card.source),
        revision=source.revision,
        weights_digest=source.digest,
        dtype=source.dtype,
        template_digest=source.template_digest,
    )


def _method(plan: Plan, chosen: Sequence[Chosen]) -> MethodInfo:
    """What a row says of the last of the methods that were ``chosen``, and of those before it."""
    *before, last = chosen
    method, params, elsewhere = last
    settings, name = plan.cell.settings.get(method.name), method.name
    return MethodInfo(
        name=name,
        version=method.version,
        origin="elsewhere" if elsewhere else utf8(methods.origin(name)),
        code=last.code,
        params=plain_params(params),
        role=method.role,
        frozen_weights=method.frozen_weights,
        n_trials_tuned=None if settings else params.trials.get(plan.source.card.scale),
        continues=_method(plan, before) if before else None,
        elsewhere=_origin(elsewhere) if elsewhere else None,
    )


def _attack(aimed: Aimed, facts: dict[str, Any]) -> AttackInfo:
    """What a row says of an attack."""
    name = aimed.attack.name
    return AttackInfo(
        name=name,
        version=aimed.attack.version,
        origin=utf8(attacks.origin(name)),
        params=plain_params(aimed.params),
        access=aimed.attack.access,
        code=aimed.code,
        **facts,
    )


def data_info(source: str, data: "TaskData") -> DataInfo:
    """What a row says of data."""
    return DataInfo(
        source="hub" if data.location.revision else source if source == "embedded" else "folder",
        id=utf8(data.location.id),
        revision=data.location.revision,
        fingerprint=data.fingerprint,
    )


def plain_params(params: BaseModel) -> dict[str, Any]:
    """Parameters as a row has them: what the command line gave may hold bytes that are no UTF-8."""
    found: dict[str, Any] = Plain()(params.model_dump(mode="json"), "params")
    return found


def _device_name(device: str) -> str:
    """The device as torch calls it; its kind alone where no torch has come to compute, or none can be imported."""
    if (torch := sys.modules.get("torch")) is None:
        return device
    return torch.cuda.get_device_name() if device == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def _processes() -> int:
    return us.processes if (us := launch()) else 1
