"""What plug-ins hand back, looked at before it is used, stored or scored: faults name plug-in and what to return."""

import logging
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ..contracts import Attack, Evaluation, Method, Task, TaskData
from ..contracts.sample import Sets
from ..errors import PluginError, UsageError
from ..metrics.statistics import MetricValue
from ..results.row import Split
from ..runtime.plain import Plain, utf8

if TYPE_CHECKING:
    from pathlib import Path

    from ..models.contract.edits import Edit
    from ..models.contract.imprint import Imprint
    from ..models.contract.vlm import VLM

EDITS = (
    "return Weights.of(PARAMETERS) after training them, Adapter(PEFT_MODEL), or an Edit of your own "
    "(all three from unlearnbench itself), and None only where nothing was changed"
)

COSTS = ("train_seconds", "seconds_per_epoch", "samples_per_second", "peak_memory_bytes")
"""What a row's cost takes from ``run.cost`` as numbers."""

VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,39}")
"""How variants of an attacked model, or of the asking, may be called: they are parts of metrics' names."""

_log = logging.getLogger(__name__)


# ------------------------------------------------------------------------------------------------------------ methods
def checked_edit(method: type[Method], edit: Any, model: "VLM", before: "Imprint", aside: "Path") -> "Edit | None":
    """What `Method.unlearn` returned, if it says what was changed of ``model``, which was as in ``before``.

    Raises `PluginError` in all processes alike: to be called by each of them. Bare tensors, which may be a long
    training's, are then kept in the folder ``aside``.
    """
    from ..runtime import distributed

    faults = distributed.gathered(_fault_of(method, edit, model, before))
    if fault := next(filter(None, faults), None):
        kept = _kept(edit, aside / f"returned-by-{method.name}-{token_hex(4)}") if distributed.is_first() else None
        raise PluginError(f"method {method.name!r} {fault}{f'; its tensors are kept in {kept}' if kept else ''}")
    if edit is None and method.role != "reference":
        _log.warning("method %r changed nothing: its row is that of the model it started from", method.name)
    return edit  # type: ignore[no-any-return]


def edit_class_of(method: type[Method] | Attack) -> "type[Edit]":
    """The class that reads back what a method or an attack returns; raises `PluginError` for one that could not."""
    from ..models.contract.edits import Edit, Trained

    kind = method.edit_class()
    if kind is None:
        return Trained
    if not (isinstance(kind, type) and issubclass(kind, Edit)):
        whose = "attack" if isinstance(method, Attack) else "method"
        raise PluginError(
            f"{whose} {method.name!r}: its edit_class returns {_kind(kind)}; return the class of its Edit"
        )
    return kind


def checked_edits(attack: Attack, edits: Any, before: "Imprint") -> "dict[str, Edit]":
    """What `Attack.change` returned, if each is an edit of a model that was as in ``before``.

    Raises `PluginError` in all processes alike: to be called by each of them.
    """
    from ..runtime import distributed

    faults = distributed.gathered(_fault_of_edits(attack, edits, before))
    if fault := next(filter(None, faults), None):
        raise PluginError(f"attack {attack.name!r}: {fault}")
    return dict(edits)


def _fault_of_edits(attack: Attack, edits: Any, before: "Imprint") -> str | None:
    from ..models.contract.edits import Edit

    if not isinstance(edits, Mapping) or not edits:
        return f"change returned {_kind(edits)}; return edits by the names of their variants"
    expected = edit_class_of(attack)
    for name, edit in edits.items():
        if not isinstance(name, str) or not VARIANT.fullmatch(name):
            return f"a variant is called {name!r:.40}; use letters, digits, spaces and hyphens"
        if not (isinstance(edit, Edit) and isinstance(edit, expected)):
            return f"its variant {name!r} is {_kind(edit)}, and its edit_class is {expected.__name__}"
        if fault := edit.fault(before):
            return f"its variant {name!r} is {expected.__name__} that cannot be used: {fault}"
    return None


def checked_records(attack: Attack, found: Any) -> dict[str, list[dict[str, Any]]]:
    """What `Attack.ask` returned, if it is records by the names of variants; raises `PluginError`."""
    whose = f"attack {attack.name!r}: ask returned"
    if not isinstance(found, Mapping) or not any(found.values()):
        empty = " without any record" if isinstance(found, Mapping) else ""
        raise PluginError(f"{whose} {_kind(found)}{empty}; return what target.records gives, by variant")
    for name, records in found.items():
        if not isinstance(name, str) or (name and not VARIANT.fullmatch(name)):
            raise PluginError(
                f"{whose} records under {name!r:.40}; name variants by letters, digits, spaces and hyphens, "
                '"" where there is one alone'
            )
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
            raise PluginError(f"{whose} {_kind(records)} under {name!r}; return a list of records, dicts each")
    return dict(found)


def _kept(returned: Any, folder: "Path") -> "Path | None":
    """Where tensors were put that somebody may want back; None for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if not _holds_tensors(returned):
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {str(name): tensor.detach().cpu().contiguous().clone() for name, tensor in returned.items()}
        save_file(tensors, folder / "weights.safetensors")
    except (OSError, SafetensorError):
        return None  # the error that led here matters more
    return folder / "weights.safetensors"


def _fault_of(method: type[Method], edit: Any, model: "VLM", before: "Imprint") -> str | None:
    from ..models.contract.edits import Edit, Weights
    from ..runtime import distributed

    if edit is None:
        changed = before.changes(model)
        return f"changed the model in place ({some(changed)}) and returned nothing; {EDITS}" if changed else None
    if not isinstance(edit, Edit):
        return f"returned {_kind(edit)}, which is no Edit; {EDITS}"
    if not isinstance(edit, kind := edit_class_of(method)):
        own = type(edit).__name__
        return f"returned {own}, while its edit_class is {kind.__name__}; let the class method edit_class return {own}"
    if fault := edit.fault(before):
        return f"returned {type(edit).__name__} that cannot be used: {fault}"
    # Weights are put together by the first process alone; whether they changed, the others need to be told.
    idle = isinstance(edit, Weights) and distributed.agreed(before.holds(edit.tensors))
    if idle and (changed := before.changes(model)):
        return f"changed the model in place ({some(changed)}) and returned the weights that it started from; {EDITS}"
    return None


def checked_files(whose: str, folder: "Path") -> None:
    """Raise `PluginError`, in all processes alike, where an edit's stored tensors are not numbers."""
    from ..runtime import distributed

    if bad := distributed.agreed(_not_numbers(folder) if distributed.is_first() else None):
        raise PluginError(f"{whose}: what it made is not finite ({bad}); training diverged: lower the learning rate")


def _not_numbers(folder: "Path") -> str | None:
    """The names of tensors with NaN in a folder's safetensors files; an infinity may be meant, as in a mask."""
    from safetensors import safe_open

    found = []
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                tensor = file.get_tensor(name)
                if tensor.is_floating_point() and bool((tensor != tensor).any()):  # NaN alone is so
                    found.append(name)
    return some(found) if found else None


def misdeclared(method: "type[Method]", before: "Imprint", changed: Sequence[str]) -> str | None:
    """What a reader should know where an edit leaves all weights as they are, and its method does not say so.

    ``changed`` is all that it changed of the model ``before``. Raises `PluginError` where weights change that are said
    to stay: attacks with the guard off would take what is left for the base.
    """
    weights = [name for name in changed if name in before.weights]
    if method.frozen_weights and weights:
        raise PluginError(
            f"method {method.name!r} says that weights stay as they are (frozen_weights), and its edit changes them "
            f"({some(weights)}); say frozen_weights = False"
        )
    if not method.frozen_weights and changed and not weights:
        return "the edit changes no weights: with frozen_weights = True attacks can leave it out (guard=off)"
    return None


def idle(before: "Imprint", model: "VLM", changed: Sequence[str]) -> bool:
    """Whether an edit that was applied to ``model`` has, as far as can be seen, changed nothing of its answers."""
    ups = [p for name, p in model.model.named_parameters() if ".lora_B." in name]
    if not changed:
        return True
    unused = bool(ups) and not any(bool(p.any()) for p in ups) and "visual_edit" not in changed
    return unused and _only_adapters(before, model)


def _only_adapters(before: "Imprint", model: "VLM") -> bool:
    """Whether all weights are those of before, an adapter's aside."""
    own = {
        name.replace(".base_layer.", "."): parameter.detach()
        for name, parameter in model.model.named_parameters()
        if ".lora_" not in name
    }
    return before.holds(own)


def _kind(value: Any) -> str:
    """What something is, as its maker would call it."""
    name = type(value).__name__
    kind = f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
    if _holds_tensors(value):
        return f"{kind} of tensors (a state dict?)"
    return f"{kind} ({value!r:.40})" if isinstance(value, (str, int, float)) else kind


def _holds_tensors(value: Any) -> bool:
    """Whether it is a mapping of names to tensors, as a state dict is."""
    return isinstance(value, Mapping) and bool(value) and all(hasattr(each, "detach") for each in value.values())


def some(names: list[str]) -> str:
    """The first name, and how many more there are."""
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


# -------------------------------------------------------------------------------------------------------------- notes
def plain_notes(whose: str, notes: Any) -> dict[str, Any]:
    """Notes of a stage as a row takes them; a warning names those of which only a description can be kept."""
    plain = Plain()
    found = plain(notes, "run.notes")
    if plain.lost:
        _log.warning("%s: %s cannot be stored as JSON; a description is kept", whose, some(plain.lost))
    return found if isinstance(found, dict) else {"notes": found}


def plain_cost(whose: str, cost: Any) -> dict[str, Any]:
    """The cost of a stage as a row takes it, without what should be a number and is none."""
    found = plain_notes(whose, cost)
    for name in COSTS:
        if not isinstance(found.get(name, 0), (int, float, type(None))):
            _log.warning("%s: run.cost[%r] is %s and no number; left out", whose, name, _kind(found.pop(name)))
    return found


# -------------------------------------------------------------------------------------------------------------- tasks
def checked_data(task: Task, data: Any) -> TaskData:
    """What a task loaded, if the engine can work with it; raises `UsageError` for a task that forgot something."""
    for name in ("fingerprint", "location", "split"):
        if not hasattr(data, name):
            raise UsageError(
                f"task {task.name!r}: what its load returned has no attribute {name!r}; add it (contracts.TaskData)"
            )
    if not isinstance(data.split, Split | None):
        raise UsageError(
            f"task {task.name!r}: the split of what its load returned is a {type(data.split).__name__}; "
            "make it None or an unlearnbench.Split, which tells by its digest who is forgotten"
        )
    if task.provides_sets if data.split is None else data.split.digest is None:
        raise UsageError(
            f"task {task.name!r}: the split of what its load returned does not tell who is forgotten, so rows of other "
            "people would be taken for the same: make it with unlearnbench.Split.made"
        )
    return data  # type: ignore[no-any-return]


def checked_sets(task: Task, sets: Any) -> Sets:
    """A task's sets; raises `PluginError` where nothing is to be forgotten, or two samples have one id."""
    if not isinstance(sets, Sets):
        raise PluginError(f"task {task.name!r}: its sets are {_kind(sets)}; return unlearnbench.Sets")
    if not sets.forget:
        raise PluginError(f"task {task.name!r}: nothing is to be forgotten; put samples into Sets(forget=...)")
    ids = [sample.id for sample in (*sets.all, *sets.strangers, *sets.acquaintances)]
    if len({*ids}) < len(ids):
        name, times = Counter(ids).most_common(1)[0]
        raise PluginError(
            f"task {task.name!r}: its sets have {times} samples with the id {utf8(str(name))!r}; let each be in one "
            "set, under an id of its own"
        )
    return sets


def checked_evaluation(task: Task, found: Any) -> Evaluation:
    """What `Task.evaluate` returned with numbers and records as JSON has them; raises `PluginError`.

    The answers that it rests on are in the journal: once the task is corrected, nothing is asked again.
    """
    if not isinstance(found, Evaluation):
        raise PluginError(
            f"task {task.name!r}: its evaluate returned {_kind(found)}; return Evaluation(records, metrics), as "
            "self.measured(records) makes it"
        )
    metrics = {name: _metric(task, name, value) for name, value in _pairs(task, "metrics", found.metrics)}
    baselines = {
        name: {metric: _metric(task, f"{name}: {metric}", value) for metric, value in _pairs(task, name, scores)}
        for name, scores in _pairs(task, "baselines", found.baselines)
    }
    facts = plain_notes(f"task {task.name!r}", found.facts)
    records = _records(task, found.records)
    return replace(found, records=records, metrics=metrics, facts=facts, baselines=baselines)


def _pairs(task: Task, what: str, found: Any) -> list[tuple[str, Any]]:
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise PluginError(f"task {task.name!r}: the {what} of its Evaluation are {_kind(found)}; give a dict by names")
    return [*found.items()]


def _metric(task: Task, name: str, value: Any) -> MetricValue:
    if not isinstance(value, MetricValue):
        raise PluginError(
            f"task {task.name!r}: metric {name!r} is {_kind(value)}; make a MetricValue of the samples' values with "
            "unlearnbench.summarise"
        )
    given = (value.value, value.ci_low, value.ci_high, value.n)
    number, low, high, count = (_number(task, name, each) for each in given)
    reason = value.reason or (f"it was {value.value}" if value.value is not None and number is None else None)
    return replace(value, value=number, ci_low=low, ci_high=high, n=int(count or 0), reason=reason)


def _number(task: Task, name: str, value: Any) -> float | None:
    """A float of whatever is one, those of NumPy and torch too; None for one that is not finite."""
    number: Any = "none"
    if value is None or isinstance(value, Real):
        number = value
    elif hasattr(value, "item") and math.prod(getattr(value, "shape", (2,))) == 1:
        number = value.item()
    if number is not None and not isinstance(number, Real):
        raise PluginError(f"task {task.name!r}: metric {name!r} holds {_kind(value)}; give numbers")
    return float(number) if number is not None and math.isfinite(number) else None


def _records(task: Task, records: Any) -> list[dict[str, Any]]:
    if isinstance(records, (str, Mapping)) or not hasattr(records, "__iter__"):
        raise PluginError(f"task {task.name!r}: the records of its Evaluation are {_kind(records)}; give dicts")
    plain, found = Plain(), []
    for place, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise PluginError(f"task {task.name!r}: record {place} is {_kind(record)}; give a dict with an id")
        found.append(plain(record, f"record {place}"))
    if plain.lost:
        _log.warning("task %r: %s cannot be stored as JSON; a description is kept", task.name, some(plain.lost))
    if type(task).measured is not Task.measured:  # whose rows anybody may check, sample by sample
        _ids(task, found)
    return found


def _ids(task: Task, records: list[dict[str, Any]]) -> None:
    for place, record in enumerate(records):
        if not isinstance(record.get("id"), str):
            given = f"the id {record['id']!r:.40}" if "id" in record else "no id"
            raise PluginError(f"task {task.name!r}: record {place} has {given}; give each a string of its own")
    name, times = Counter(record["id"] for record in records).most_common(1)[0] if records else ("", 0)
    if times > 1:
        raise PluginError(f"task {task.name!r}: {times} records have the id {utf8(name)!r}; give each one of its own")
