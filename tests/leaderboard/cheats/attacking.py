"""Made-up rows of attacked models, beside those of models as they are."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tests.leaderboard.made_up import DEFINITION, fiubench_records
from unlearnbench.analysis.score.references import task_of
from unlearnbench.leaderboard.add import Added, add
from unlearnbench.leaderboard.attacks.records import measured_of
from unlearnbench.leaderboard.definition import Board
from unlearnbench.leaderboard.standings import Standing, tables
from unlearnbench.leaderboard.submission import read
from unlearnbench.results.row import AttackInfo, Row
from unlearnbench.results.store import RowStore

ATTACK = "quantise"
RULE = DEFINITION.replace("[references]", f'[attacks.{ATTACK}]\nversion = "1"\nparams = {{ group = 32 }}\n[references]')
Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def attack(
    store: RowStore,
    method: str,
    forget: float,
    retain: float = 1.0,
    group: int = 32,
    change: Change | None = None,
    **told: Any,
) -> None:
    """Rows of a method's attacked models, which know so much, beside those that the store has of it."""
    info = AttackInfo(
        name=ATTACK, version="1", origin="made up", params={"group": group}, access="weights-write",
        variants=["4 bits"], people=4, questions=48,
    )  # fmt: skip
    for clean in [row for row in store.read() if row.method.name == method and row.task.name == "fiubench"]:
        made = fiubench_records(forget, retain, 1000 * clean.seed + 7 * len(method))
        renamed = {"forget": "forget", "others": "retain"}
        records = [
            {**each, "set": renamed[each["set"]], "variant": "4 bits", "paraphrased_predictions": []}
            for each in made
            if each["set"] in renamed
        ]
        records = change(records) if change else records
        row_id = f"{clean.row_id[:20]}attacked{group}"
        fields = clean.model_dump(mode="json") | {
            "row_id": row_id,
            "attack": info.model_dump() | told,
            "samples": store.write_samples(row_id, records).model_dump(),
        }
        row = Row.model_validate(fields)
        found = measured_of(row, task_of(row), records)
        metrics = {name: asdict(value) for name, value in found.metrics.items()}
        store.append(Row.model_validate(fields | {"metrics": metrics}))


def sent(board: Board, store: RowStore) -> Added:
    return add(board, store, board.rows / "first.jsonl")


def standing(board: Board, method: str) -> Standing:
    (table,) = tables(board, [read(path) for path in board.submissions])
    return next(each for each in table.standings if each.line.method == method)
