"""What tells one line of a table from another: method, model, who is forgotten, and what was asked.

Rows are averaged, joined to a curve or put in one line only where all of it agrees.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..results.row import Row, Split

MAY_DIFFER = frozenset({"batch_size"})
"""Options that change the speed alone."""

SPLIT = "split"
"""The fact that says who is forgotten."""

TRAINED_ON = "trained_on"
"""The fact that says what data the model was trained on: their fingerprint."""

AFTER = "after"
"""The fact that says with which method's model this one went on, if it went on with another's."""

ELSEWHERE = "elsewhere"
"""The fact that says which model a line is of, where other code made several under one name."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGITS = 8
"""Of a digest, where it is shown."""
_NAME = 17
"""Characters of a split's name beside a digest, so that both survive a narrow table."""


def _plain(value: object) -> str:
    return value.setting if isinstance(value, Split) else str(value)


_ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)  # one for all: `json.dumps` would make one a value


def as_text(value: object) -> str:
    """JSON, the same for equal values; a split is its digest, or that seeds draw it, whatever it is called."""
    return _ENCODER.encode(value)


def printable(text: str) -> str:
    """Text from a row without line breaks and the codes that steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def method_facts(row: Row) -> dict[str, Any]:
    """What the unlearned model was made from, seeds apart; `SPLIT` is a `Split` or None."""
    model = {"revision": row.model.revision, "weights": row.model.weights_digest, "dtype": row.model.dtype}
    model["template"] = row.model.template_digest
    base = {f"base.{name}": value for name, value in (row.base or {}).get("params", {}).items()}
    model[TRAINED_ON] = row.trained_on.fingerprint if row.trained_on else None
    own = {"method": row.method.name, "version": row.method.version, "code": row.method.code, SPLIT: row.task.split}
    other = row.method.continues
    facts = {"model": row.model.name} | model | own | ({AFTER: other.name} if other else {})
    given = {name: value for name, value in row.method.params.items() if not (other and name == "method")}
    # A parameter may bear the name of one of these facts, and does not stand for it.
    params = {f"param.{name}" if name in facts else name: value for name, value in given.items()}
    return facts | params | _continued(row) | base


def _continued(row: Row) -> dict[str, Any]:
    """What made the model that the method went on with, if it went on with another method's."""
    if not (other := row.method.continues):
        return {}
    told = {"version": other.version, "code": other.code} | other.params
    return {f"{other.name}.{name}": value for name, value in told.items()}


def task_facts(row: Row) -> dict[str, Any]:
    """What was asked, by names that begin with the task's."""
    task = row.task
    facts = {"version": task.version, "code": task.code, "data": task.data.id, "fingerprint": task.data.fingerprint}
    if task.data.fingerprint is None:
        facts["revision"] = task.data.revision
    told = {f"{task.name}.{name}": value for name, value in {**facts, **task.options}.items()}
    return told | {f"{task.name}{_PROTOCOL}{name}": value for name, value in task.protocol.items()}


_PROTOCOL = ".protocol."


def told_apart(facts: dict[str, Any], alike: Sequence[dict[str, Any]]) -> list[str]:
    """``NAME=VALUE`` of what tells a line from ``alike``, those of its method; what most of them share goes unsaid.

    With which method's model it went on is always told. What only some could differ in, a task's options or what made
    the model before, is told among these alone.
    """
    told: dict[str, str] = {}
    for name, value in facts.items():
        among = [each.get(name) for each in alike if _may_have(name, facts, each)]
        counts = Counter(map(as_text, among))
        usual = len(among) > 2 and counts[as_text(value)] > len(among) / 2
        if name == AFTER or (len(counts) > 1 and not usual):
            told[name] = printable(f"{name}={_shown(value, among)}")
    if any(name.endswith(".fingerprint") and facts[name] == facts.get(TRAINED_ON) for name in told):
        told.pop(TRAINED_ON, None)  # the same data, which the task's own fact names
    return [text for name, text in told.items() if _PROTOCOL not in name or _says_more(name, facts, alike)]


def _may_have(name: str, facts: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether an ``other`` line could have this fact: it was asked the same task, went through the same stages."""
    owner, dotted, _ = name.partition(".")
    if owner == "base":
        return AFTER not in facts or any(each.startswith("base.") for each in other)
    known = f"{owner}.version"  # tasks have one, and methods that went before
    return not dotted or known not in facts or known in other


def _says_more(name: str, facts: dict[str, Any], alike: Sequence[dict[str, Any]]) -> bool:
    """Whether what options stand for differs from a line of the very same options."""
    task = name.partition(".")[0]
    options = [each for each in facts if each.startswith(f"{task}.") and _PROTOCOL not in each]
    return any(
        as_text(other.get(name)) != as_text(facts[name])
        and all(as_text(other.get(option)) == as_text(facts[option]) for option in options)
        for other in alike
    )


def _shown(value: object, among: Iterable[object]) -> str:
    if isinstance(value, Split):
        namesakes = {each.setting for each in among if isinstance(each, Split) and each.name == value.name}
        if len(namesakes) == 1 or value.digest is None:
            return value.name
        return f"{value.name[:_NAME]}#{value.digest[:_DIGITS]}"
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        digests = {each for each in among if isinstance(each, str)}
        return value[:_DIGITS] if len({each[:_DIGITS] for each in digests}) == len(digests) else value
    return value if isinstance(value, str) else as_text(value)


def _method_parts(row: Row) -> tuple[object, ...]:
    """What `method_facts` are made of."""
    model, method = row.model, row.method
    return (
        model.name, model.revision, model.weights_digest, model.dtype, model.template_digest, method.name,
        method.version, method.code, row.task.split, method.params, (row.base or {}).get("params"),
        row.trained_on.fingerprint if row.trained_on else None, method.continues,
    )  # fmt: skip


def _task_parts(row: Row) -> tuple[object, ...]:
    """What `task_facts` are made of."""
    task, data = row.task, row.task.data
    revision = data.revision if data.fingerprint is None else None
    return task.name, task.version, task.code, data.id, data.fingerprint, revision, task.options, task.protocol


def _contest_parts(row: Row) -> tuple[object, ...]:
    """What two rows must share before one can be better than the other."""
    task, model = row.task, row.model
    options = {name: value for name, value in task.options.items() if name not in MAY_DIFFER}
    data = task.data.fingerprint or [task.data.id, task.data.revision]
    weights = model.weights_digest or model.revision
    trained_on = row.trained_on.fingerprint if row.trained_on else None
    return (
        weights, model.template_digest, task.split, trained_on, task.name, task.version, task.code, data, options,
        task.protocol,
    )  # fmt: skip


class Facts:
    """The settings of rows as text, the same for equal ones: made once a row, and once for all that look the same.

    To be kept no longer than the rows, which it knows by their identity.
    """

    def __init__(self) -> None:
        self._of_row: dict[tuple[str, int], str] = {}
        self._of_look: dict[str, str] = {}

    def method(self, row: Row) -> str:
        """What the unlearned model was made from."""
        return self._text("method", row, _method_parts)

    def task(self, row: Row) -> str:
        """What it was asked."""
        return self._text("task", row, _task_parts)

    def contest(self, row: Row) -> str:
        """The people, the data and the questions on which it can be compared with others."""
        return self._text("contest", row, _contest_parts)

    def _text(self, what: str, row: Row, parts: Callable[[Row], object]) -> str:
        place = what, id(row)
        if place not in self._of_row:
            made_of = parts(row)
            look = repr(made_of)
            if look not in self._of_look:
                self._of_look[look] = as_text(made_of)
            self._of_row[place] = self._of_look[look]
        return self._of_row[place]
