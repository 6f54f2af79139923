"""Audit of a gate: whom it knows, where it fails, what is behind it, and what it costs."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from pydantic import Field

from unlearnbench import Asked, Asking, Attack, AttackParams, MetricValue, UsageError, attack, gate_of, held, proportion
from unlearnbench.metrics.distances import auc
from unlearnbench.metrics.statistics import RESAMPLES, estimate

from .picture import Kind, Strength, changed, changes, content

if TYPE_CHECKING:
    from unlearnbench import VLM, Batch, Gate, Run, Sample, Target, Task

STRANGE = ("others", "validation", "held_out", "strangers", "acquaintances")
"""Sets whose people are not to be forgotten; of some the gate was trained on, of others it was not."""

OTHER_PHOTO = "forget other photo"
"""Pictures of forgotten people on which nobody trained."""

NO_GATE = "the model sees every picture alike, through no gate: nothing is to be audited, and it was asked as it is"

NOT_A_GATE = (
    "what stands before the model gives no scores and cannot be held (unlearnbench.Gate): it was not audited, and the "
    "model was asked through it, as it is"
)

AT_A_TIME = 16
"""Pictures that are looked at before what was seen is written down."""

TOKENS = 16
"""Of an answer whose seconds are counted."""

ROUNDS = 3
"""How often they are counted; the middle one is told."""


class GateParams(AttackParams):
    """Which pictures the gate is shown."""

    kinds: tuple[Kind, ...] = Field(get_args(Kind), description="changes of forgotten people's pictures")
    strengths: tuple[Strength, ...] = Field(("medium",), description="how much is changed")
    pictures: int = Field(200, ge=1, description="most pictures of each kind of people, and of each task's scenes")
    timed: int = Field(8, ge=0, description="questions whose seconds are counted, with the gate and without")

    presets: ClassVar = {"tiny": {"pictures": 48}}


@attack("gate")
class GateAudit(Attack):
    """How a gate tells pictures apart, what leaks where it is held open, what is lost where it is held closed.

    The score of every picture is kept: of those that it was trained on, changed ones and other ones of the same people,
    of people that it never saw, of scenes. A model without a gate is asked as it is.
    """

    access = "weights-write"
    Params = GateParams
    params: GateParams

    def ask(self, model: "VLM", target: "Target", run: "Run") -> dict[str, list[dict[str, Any]]]:
        """Held open, all that is asked; held closed, what is to be retained; scores, seconds and sizes."""
        gate, retain = gate_of(model), {"retain": target.utility}
        if gate is None:
            run.notes["gate"] = NOT_A_GATE if model.visual_edit else NO_GATE
            return {"open": target.records(model, {"forget": target.victims} | retain)}
        _must_open(model, target)
        pools = {name: spread(own, self.params.pictures) for name, own in self._pools(target)}
        text = target.victims[0].text
        return {
            "open": target.records(model, {"forget": target.victims} | retain, Asking(gate="open")),
            "closed": target.records(model, retain, Asking(gate="closed")),
            "pictures": scored(model, gate, pools, text, run),
            "cost": [*costs(model, gate, target, run, self.params.timed)],
        }

    def _pools(self, target: "Target") -> "Iterator[tuple[str, Mapping[Path, str]]]":
        """Pictures by whose they are, under the name of what they have in common."""
        own = whose(target.victims)
        yield "forget", own
        views = target.other_views(target.victims)
        others = {path: each.cluster for each in target.victims if each.id in views for path in views[each.id].images}
        yield OTHER_PHOTO, others
        for change in changes(self.params.kinds, self.params.strengths):
            made = {changed(change, target, path): person for path, person in own.items()}
            yield f"forget {change.name}", made
        for name in STRANGE:
            yield name, whose(getattr(target.sets, name))
        for task, paths in target.scenes().items():
            yield f"scenes of {task}", {path: str(path) for path in paths}

    def measured(self, task: "Task", records: Sequence[Any]) -> "dict[str, MetricValue]":
        """Of pictures, how the gate tells them apart; of costs, each; of answers, as the task has it."""
        if records and "score" in records[0]:
            return pool_metrics(records)
        if records and "cost" in records[0]:
            return {f"gate.{each['id']}": _cost(each["cost"]) for each in records}
        return super().measured(task, records)

    def values(self, task: "Task", records: Sequence[Any]) -> "Mapping[str, Mapping[str, Sequence[float]]]":
        """Of answers, as the task has it; a gate's scores are a condition, and no score of what is forgotten."""
        return super().values(task, records) if records and "prediction" in records[0] else {}

    def told_apart(self, records: Sequence[Any]) -> dict[str, tuple[list[float], list[float]]]:
        """Trained pictures of forgotten people from everybody else's, by set, and changed and other ones from all."""
        of: dict[str, list[float]] = {}
        for each in records:
            if "score" in each:
                pool = "scenes" if each["pool"].startswith("scenes") else each["pool"]
                of.setdefault(pool, []).append(each["score"])
        strange = [*chain.from_iterable(of.get(name, []) for name in STRANGE)]
        changed_ones = [own for name, own in of.items() if name.startswith("forget ") and name != OTHER_PHOTO]
        found = {name: (of.get("forget", []), own) for name, own in of.items() if not name.startswith("forget")}
        found["everybody, other photos"] = (of.get(OTHER_PHOTO, []), strange)
        found["everybody, changed photos"] = ([*chain.from_iterable(changed_ones)], strange)
        return {name: both for name, both in found.items() if all(both)}


# ------------------------------------------------------------------------------------------------------------ pictures
def whose(samples: "Iterable[Sample]") -> dict[Path, str]:
    """The pictures of samples, each once, with the cluster that it is of."""
    return {path: each.cluster for each in samples for path in each.images}


def spread(pictures: Mapping[Path, str], most: int) -> dict[Path, str]:
    """So many pictures at the most, evenly spaced."""
    every = max(1, -(-len(pictures) // most))
    return dict([*pictures.items()][::every])


def scored(
    model: "VLM", gate: "Gate", pools: Mapping[str, Mapping[Path, str]], text: str, run: "Run"
) -> list[dict[str, Any]]:
    """A record a picture: its score, whether that flags it, and whether it is ``edited`` when it is asked about so.

    The latter is looked at and not believed: what a gate says of itself need not be what the edit goes by.
    """
    import torch

    def look(part: Sequence[tuple[str, Path, str]]) -> list[dict[str, Any]]:
        found = []
        for _, path, _ in part:
            with torch.no_grad():
                batch = model.prepare([Asked(text, (path,))])
                found.append({"score": float(gate.gate_scores(batch.pictures)[0]), "edited": _edited(model, batch)})
        model.let_go(path for _, path, _ in part)
        return found

    items = [(pool, path, cluster) for pool, own in pools.items() for path, cluster in own.items()]
    told = run.in_parts("looking at pictures", items, AT_A_TIME, lambda each: ["gate", content(each[1]), text], look)
    return [
        {
            "id": f"{pool}/{path.parent.name}/{path.name}",
            "pool": pool,
            "cluster": cluster,
            "flagged": each["score"] >= gate.threshold,
            **each,
        }
        for (pool, path, cluster), each in zip(items, told, strict=True)
    ]


def _must_open(model: "VLM", target: "Target") -> None:
    """Raise `UsageError` where pictures are edited though the gate is held open: that is not what is behind it."""
    import torch

    some = [each for each in target.victims if each.images][:AT_A_TIME]
    with torch.no_grad(), held(model, "open"):
        if some and _edited(model, model.prepare(some)):
            raise UsageError(
                "attack gate: pictures are edited though the gate is held open, so what is behind it cannot be asked; "
                "let the edit pass everything while it is held so (unlearnbench.Gate), or leave the attack out"
            )


def _edited(model: "VLM", batch: "Batch") -> bool:
    """Whether the language model sees other tokens than the pictures' own."""
    pairs = zip(model.look(batch), batch.pictures, strict=True)
    return any(not bool((shown == own.tokens).all()) for shown, own in pairs)


def pool_metrics(records: Sequence[Mapping[str, Any]]) -> "dict[str, MetricValue]":
    """By pool the share that is flagged; of those not to be forgotten also how well they are told from the forgotten.

    AUC is the chance that a forgotten person's picture has the higher score, ties counted half; that of changed and
    other pictures of theirs is against all people who are not to be forgotten. "tpr at 1 percent" is the share of
    forgotten people's pictures flagged at the least threshold at which 1% of the pool would be. "gate.as_scored" is the
    share of all pictures that are edited where their score says so, and are not where it doesn't.
    """
    pools: dict[str, list[Mapping[str, Any]]] = {}
    for each in records:
        pools.setdefault(each["pool"], []).append(each)
    found: dict[str, MetricValue] = {}
    known = pools.get("forget", [])
    for name, own in pools.items():
        mine = name.partition(" ")[0] == "forget"
        people = len({each["cluster"] for each in own})
        rate = sum(each["flagged"] for each in own) / len(own)
        found[f"{name}.flagged"] = proportion(rate, len(own), independent=people, higher_is_better=mine)
        if not mine and known:
            found[f"{name}.auc"] = _auc(known, own)
            found[f"{name}.tpr_at_1_percent"] = _at_one_percent(known, own)
    if acts := [each["edited"] == each["flagged"] for each in records if "edited" in each]:
        found["gate.as_scored"] = proportion(sum(acts) / len(acts), len(acts), higher_is_better=True)
    strange = [each for name in STRANGE for each in pools.get(name, [])]
    if known and strange:
        found["everybody else.auc"] = _auc(known, strange)
        found["everybody else.tpr_at_1_percent"] = _at_one_percent(known, strange)
        further = {name: own for name, own in pools.items() if name.startswith("forget ")}
        found |= {f"{name}.auc": _auc(own, strange) for name, own in further.items()}
    return found


def _auc(known: Sequence[Mapping[str, Any]], strange: Sequence[Mapping[str, Any]]) -> MetricValue:
    """With an interval over people."""
    import numpy as np

    mine, others = _by_cluster(known), _by_cluster(strange)
    rng, draws = np.random.default_rng(0), []
    for _ in range(RESAMPLES // 2 if len(mine) > 1 and len(others) > 1 else 0):
        drawn = [
            [value for place in rng.integers(len(of), size=len(of)) for value in of[place]] for of in (mine, others)
        ]
        draws.append(auc(*drawn))
    value = auc([v for of in mine for v in of], [v for of in others for v in of])
    assert value is not None  # there are pictures of both
    n = len(known) + len(strange)
    return estimate(value, np.array(draws), min(len(mine), len(others)), n=n, higher_is_better=True)


def _by_cluster(records: Iterable[Mapping[str, Any]]) -> list[list[float]]:
    found: dict[str, list[float]] = {}
    for each in records:
        found.setdefault(each["cluster"], []).append(each["score"])
    return [*found.values()]


def _at_one_percent(known: Sequence[Mapping[str, Any]], strange: Sequence[Mapping[str, Any]]) -> MetricValue:
    """Of fewer than a hundred pictures that is none: above the highest of them."""
    highest = sorted((each["score"] for each in strange), reverse=True)[len(strange) // 100]
    rate = sum(each["score"] > highest for each in known) / len(known)
    return proportion(rate, len(known), independent=len({each["cluster"] for each in known}), higher_is_better=True)


# --------------------------------------------------------------------------------------------------------------- costs
def costs(model: "VLM", gate: "Gate", target: "Target", run: "Run", timed: int) -> Iterator[dict[str, Any]]:
    """Seconds a question, parameters, bytes, and the seconds after which one more person were forgotten.

    A gate knows by its weights whom it closes to: one more means to train it anew, as long as it took.
    """
    for name, samples in {"flagged": target.victims, "other": target.utility}.items():
        if some := samples[:timed]:
            for how, at in {"with": None, "without": "open"}.items():
                seconds = run.journal.once(
                    ["seconds", name, how, [each.id for each in some]], partial(_seconds, model, some, at)
                )
                yield {"id": f"seconds_{how}_{name}", "cost": seconds / len(some)}
    parameters = [each for network in gate.modules.values() for each in network.parameters()]
    yield {"id": "parameters", "cost": sum(each.numel() for each in parameters)}
    yield {"id": "bytes", "cost": sum(each.nbytes for each in parameters)}
    yield {"id": "seconds_one_more", "cost": target.cost.get("train_seconds")}


def _cost(value: float | None) -> MetricValue:
    if value is None:
        return MetricValue(None, None, None, 0, False, "it is not known what making the model took")
    return MetricValue(value, None, None, 1, False, "it was measured once")


def _seconds(model: "VLM", samples: "Sequence[Sample]", at: Any) -> float:
    """The middle of some rounds, in each of which the edit knows nothing of the questions yet."""
    import torch

    batch, taken = model.prepare(samples), []
    for _ in range(ROUNDS):
        model.refresh()
        start = time.perf_counter()
        with torch.no_grad(), held(model, at):
            model.generate(batch, max_new_tokens=TOKENS)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[ROUNDS // 2]
