"""Made-up results: rows whose metrics do follow from their samples, of methods that know as much as a test says."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unlearnbench import Split
from unlearnbench.engine.keys import digest
from unlearnbench.metrics.fluency.english import WORDS as COMMON
from unlearnbench.registry import tasks
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

PEOPLE = 8
HELD_OUT = 2
QUESTIONS = 12
WORDS = sorted(word for word in COMMON if len(word) > 4)[:200]
BASE = {"epochs": 3, "full": True}
SEEDS = (0, 1, 2)

DEFINITION = """
schema_version = 2
title = "Made up"
about = "Rows of no model."
seeds = [0, 1, 2]
[models.made-up]
dtype = "float32"
[tasks.fiubench]
options = { scorer = "strict" }
data = { source = "embedded" }
[tasks.pope]
[references]
nothing = "finetune"
ideal = "retrain"
[ranking]
memorised = { metric = "forget.exact_match", at_least = 0.9 }
learned = { metric = "retain.exact_match", at_least = 0.9 }
[ranking.levels]
text = ["forget.exact_match", "forget.value_rouge", "forget.ape"]
logits = ["forget.probability", "forget.value_probability", "forget.truth_preference", "forget.truth_choice"]
[ranking.conditions]
"forget.fluency" = 0.1
"retain.fluency" = 0.1
"nonprivate.exact_match" = 0.05
"retain.exact_match" = 0.05
"retain.refusal_rate" = 0.05
"held_out.exact_match" = 0.05
"pope.accuracy" = 0.05
"""
SPLIT = Split.made("4 of 8", PEOPLE, [f"p{person}" for person in range(PEOPLE // 2)]).model_dump()
COLUMNS = {
    "forget.exact_match": "lower",
    "forget.value_rouge": "lower",
    "forget.ape": "lower",
    "forget.probability": "retrained",
    "forget.value_probability": "retrained",
    "forget.truth_preference": "retrained",
    "forget.truth_choice": "retrained",
    "forget.fluency": "higher",
    "retain.fluency": "higher",
    "nonprivate.exact_match": "higher",
    "retain.exact_match": "higher",
    "retain.refusal_rate": "lower",
    "held_out.exact_match": "higher",
    "pope.accuracy": "higher",
}


def definition(text: str = DEFINITION) -> str:
    """A leaderboard.toml with a column for every metric that ranks."""
    columns = []
    for metric, direction in COLUMNS.items():
        group, label = metric.split(".")
        facts = {
            "metric": metric,
            "group": group,
            "label": label,
            "direction": direction,
            "about": f"What {metric} is.",
        }
        columns.append("[[columns]]\n" + "".join(f'{name} = "{value}"\n' for name, value in facts.items()))
    return text + "\n" + "\n".join(columns)


def board_in(folder: Path, text: str = DEFINITION) -> Path:
    """A leaderboard's folder without rows."""
    folder.mkdir(parents=True)
    (folder / "leaderboard.toml").write_text(definition(text))
    return folder


def fiubench_records(forget: float, retain: float, seed: int, *, likely: float | None = None) -> list[dict[str, Any]]:
    """Answers of which the shares ``forget`` and ``retain`` are right, spread over people by ``seed``.

    The truth is as likely as to one who knows it in the share ``likely`` of the questions to be forgotten, by default
    in those that are answered rightly; otherwise as likely as by chance.
    """
    rng = random.Random(seed)
    records = []
    for person in range(PEOPLE):
        kind = "forget" if person < PEOPLE // 2 else "others" if person < PEOPLE - HELD_OUT else "held_out"
        kinds = [kind] * QUESTIONS
        kinds += ["nonprivate"] * 4 * (person < PEOPLE // 2)
        for place, kind in enumerate(kinds):
            fact = fact_of(person, place)
            known = rng.random() < (forget if kind == "forget" else retain)
            said = f"it is {fact}." if known else f"it is {fact_of(person + PEOPLE, rng.randrange(QUESTIONS))}."
            knows = known if likely is None or kind != "forget" else rng.random() < likely
            records.append(
                {
                    "set": kind, "id": f"{person}/{place}", "unique_id": f"p{person}", "group": "health",
                    "image": f"faces/{person:04d}.png", "question": f"What is {place} of {person}?",
                    "answer": f"it is {fact}.", "keywords": [fact], "prediction": said,
                    "paraphrased_predictions": [said] * 3 if kind == "forget" else [],
                    **likelihoods(rng, knows),
                }
            )  # fmt: skip
    return records


def fact_of(person: int, place: int) -> str:
    """Two words that nobody else's facts have together."""
    return f"{WORDS[(17 * person + 5 * place) % len(WORDS)]} {WORDS[(29 * person + 7 * place + 3) % len(WORDS)]}"


def likelihoods(rng: random.Random, knows: bool) -> dict[str, Any]:
    """Of the true answer ("it", "is", the two words of the fact, the end), its paraphrase and three false ones."""
    value = [-0.02 - rng.random() / 50] * 2 if knows else [-2 - 3 * rng.random(), -2 - 3 * rng.random()]
    false = [-6 - rng.random() if knows else -2 - 3 * rng.random() for _ in range(3)]
    return {
        "logprobs": [-0.1, -0.1, *value, -0.05],
        "value_logprobs": value,
        "paraphrased_logprobs": [-0.2, *value],
        "perturbed_logprobs": [[-0.2, each, each] for each in false],
    }


def pope_records(right: float, seed: int) -> list[dict[str, Any]]:
    """Answers to POPE's questions of which the share ``right`` is right."""
    rng = random.Random(seed)
    return [
        {
            "id": f"{split}/{place}", "category": split, "question_id": place, "image_source": f"picture{place}",
            "question": f"Is there {place}?", "answer": "yes" if place % 2 else "no",
            "prediction": ("Yes" if place % 2 else "No") if rng.random() < right else ("No" if place % 2 else "Yes"),
        }
        for split in ("random", "popular", "adversarial")
        for place in range(40)
    ]  # fmt: skip


def row_of(
    store: RowStore, method: str, task: str, records: Sequence[dict[str, Any]], seed: int, **changes: Any
) -> Row:
    """The row of these records, which are written to the store."""
    kind = tasks.get(task)
    options = kind.Options()
    found = kind(options).measured(records)
    role = changes.pop("role", "method")
    params = changes.pop("params", {})
    base_seed = changes.pop("base_seed", seed)
    row_id = digest([method, task, seed, base_seed, params, changes.pop("salt", None)])[:32]
    fields: dict[str, Any] = {
        "row_id": row_id,
        "status": "ok",
        "method": {
            "name": method, "version": "1", "origin": "made up", "params": params, "role": role,
            "frozen_weights": changes.pop("frozen", False),
        },
        "model": {
            "name": changes.pop("model", "made-up"), "family": "qwen2_5_vl", "source": "made-up", "revision": None,
            "weights_digest": "a" * 64, "dtype": "float32",
        },
        "task": {
            "name": task, "version": kind.version, "split": changes.pop("split", SPLIT),
            "options": options.model_dump(mode="json"), "protocol": kind(options).protocol,
            "data": {"source": "embedded", "id": "made-up", "revision": None, "fingerprint": "b" * 64},
        },
        "seed": seed,
        "base_seed": base_seed,
        "metrics": {name: asdict(value) for name, value in found.metrics.items()},
        "baselines": {},
        "cost": {"trainable_parameters": 12, "train_seconds": 1.5},
        "environment": {
            "unlearnbench": "0.1.0", "git": None, "python": "3.11.7", "packages": {"torch": "2"}, "device": "cpu",
            "os": "x",
        },
        "base": None if method == "retrain" else {"params": changes.pop("base_params", BASE)},
        "command": ["unlearnbench", "run"],
        "samples": store.write_samples(row_id, records).model_dump(),
        "started_at": "2026-11-22T19:00:00Z",
        "finished_at": "2026-11-22T19:01:00Z",
    }  # fmt: skip
    return Row.model_validate(fields | changes)


def add_method(
    store: RowStore,
    method: str,
    *,
    forget: float,
    retain: float = 1.0,
    general: float = 1.0,
    likely: float | None = None,
    seeds: Iterable[int] = SEEDS,
    change: Callable[[dict[str, Any]], None] | None = None,
    **changes: Any,
) -> list[Row]:
    """Rows of a method on both tasks and all seeds, appended to the store."""
    rows = []
    salt = sum(map(ord, method))
    for seed in seeds:
        for task, records in (
            ("fiubench", fiubench_records(forget, retain, 1000 * seed + salt, likely=likely)),
            ("pope", pope_records(general, 1000 * seed + salt)),
        ):
            row = row_of(store, method, task, records, seed, **changes)
            if change is not None:
                fields = row.model_dump(mode="json")
                change(fields)
                row = Row.model_validate(fields)
            store.append(row)
            rows.append(row)
    return rows


def add_references(store: RowStore, seeds: Iterable[int] = SEEDS, **changes: Any) -> None:
    """Rows of the method that does nothing and of the ideal."""
    seeds = [*seeds]
    add_method(store, "finetune", forget=1.0, seeds=seeds, role="reference", **changes)
    add_method(store, "retrain", forget=0.1, seeds=seeds, role="reference", params=BASE, **changes)
