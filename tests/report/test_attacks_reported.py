"""``unlearnbench report`` of attacked rows: what one cannot read leaves out no other, and is told."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.analysis.attacks.test_relearned import CLEAN, attacked_row
from tests.leaderboard.conftest import new_results
from tests.leaderboard.made_up import BASE, SEEDS, add_method, add_references
from unlearnbench.cli import app
from unlearnbench.errors import UsageError
from unlearnbench.registry import attacks as registered
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

METHODS = {"firm": 1, "returning": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two methods and of what they are measured by, as they are and relearned."""
    store = new_results(tmp_path_factory.mktemp("reported") / "run")
    for method, salt in METHODS.items():
        add_method(store, method, seeds=SEEDS, **CLEAN[method])
        for seed in SEEDS:
            store.append(attacked_row(store, method, {"aux": "facts"}, salt, seed))
    for seed in SEEDS:
        store.append(attacked_row(store, "finetune", {"aux": "facts"}, 0, seed, role="reference"))
        store.append(attacked_row(store, "retrain", {"aux": "facts"}, 1, seed, role="reference", params=BASE))
    add_references(store, SEEDS)
    return store.folder


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def rewritten(results: Path, change: Callable[[Row], Row | None]) -> None:
    """The rows, each changed or left out."""
    rows = [change(row) for row in RowStore(results).read()]
    (results / "rows.jsonl").write_bytes(b"".join(row.to_line() for row in rows if row))


def attacked(row: Row, method: str) -> bool:
    return row.attack is not None and row.method.name == method


def report(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["report", *words], env={"COLUMNS": "200"})
    said = str(done.exception) if isinstance(done.exception, UsageError) else done.stderr
    return done.exit_code, done.stdout, said


def cells(out: str) -> dict[str, str]:
    """What stands in the table of relearning, by method."""
    rows = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("|")]
    return {row[0].removesuffix(f" ×{len(SEEDS)}"): row[1] for row in rows[2:]}


def test_the_table_alone_has_all_that_is_asked_for(results: Path) -> None:
    code, out, _ = report(str(results), "--attacks", "--format", "markdown")
    assert (code, out.count("\n| Method | ")) == (0, 1)
    found = cells(out)
    assert [*found] == ["firm", "returning", "finetune", "retrain"]
    assert (found["finetune"].split()[0], found["retrain"]) == ("0", "1 h")
    assert found["returning"].endswith(" c")
    assert "\n- returning ×3: Tried: relearn" in out
    assert "±" in cells(report(str(results), "--attacks", "--intervals", "--format", "markdown")[1])["returning"]


def test_the_references_stay_beside_a_method_that_is_asked_for(results: Path) -> None:
    whole = cells(report(str(results), "--attacks", "--format", "markdown")[1])
    code, out, _ = report(str(results), "--attacks", "--format", "markdown", "--method", "returning")
    assert code == 0
    assert cells(out) == {name: cell for name, cell in whole.items() if name != "firm"}


def test_without_an_attacked_row_there_is_nothing_to_show(results: Path) -> None:
    rewritten(results, lambda row: None if row.attack else row)
    code, _, said = report(str(results), "--attacks")
    assert code != 0
    assert said == "--attacks: no row here is of an attack; attack what there is with: unlearnbench run --attack"


def test_an_attack_whose_values_fail_takes_no_table_along(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> None:
        raise RuntimeError("no such scale")

    monkeypatch.setattr(registered.get("relearn"), "values", failing)
    code, out, said = report(str(results))
    assert code == 0, said
    assert "attack 'relearn': its values failed: RuntimeError: no such scale" in " ".join((out + said).split())


def of_another_version(results: Path) -> None:
    def changed(row: Row) -> Row:
        if not attacked(row, "returning"):
            return row
        assert row.attack is not None
        return row.model_copy(update={"attack": row.attack.model_copy(update={"version": "0"})})

    rewritten(results, changed)


def without_samples(results: Path) -> None:
    for row in RowStore(results).read():
        if attacked(row, "returning"):
            assert row.samples is not None
            (results / row.samples.path).unlink()


def test_attacks_of_two_versions_are_told_apart(results: Path) -> None:
    of_another_version(results)
    out = report(str(results), "--attacks", "--format", "markdown")[1]
    assert "| Method | relearn version=1 | relearn version=0 |" in out or (
        "| Method | relearn version=0 | relearn version=1 |" in out
    )
    assert "returning under relearn version=0 \\(made\\-up\\): " in out


def of_no_records(results: Path) -> None:
    respoiled(results, lambda lines: [*lines, "[1,"])


def of_other_records(results: Path) -> None:
    respoiled(results, lambda lines: [json.dumps({"variant": "0 steps", "set": "forget"}) for _ in lines])


def respoiled(results: Path, change: Callable[[list[str]], list[str]]) -> None:
    """The samples changed and signed anew, as a stranger could send them."""

    def changed(row: Row) -> Row:
        if not attacked(row, "returning"):
            return row
        assert row.samples is not None
        path = results / row.samples.path
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return row.model_copy(update={"samples": row.samples.model_copy(update={"sha256": digest})})

    rewritten(results, changed)


@pytest.mark.parametrize("spoil", [of_another_version, without_samples, of_no_records, of_other_records])
def test_an_attacked_row_that_tells_nothing_leaves_the_others(
    results: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    whole = cells(report(str(results), "--attacks", "--format", "markdown")[1])
    spoil(results)
    out = tmp_path / "out"
    code, said, _ = report(str(results), "--format", "markdown", "--attacks", "--out", str(out))
    assert code == 0
    found: dict[str, Any] = cells(said)
    assert {name: found[name] for name in ("firm", "finetune", "retrain")} == {
        name: whole[name] for name in ("firm", "finetune", "retrain")
    }
    assert found["returning"].split()[-1] in ("–", "b")
    assert "returning under relearn" in said  # and why
    assert any(path.name.startswith("recovery-relearn") for path in out.glob("*.png"))
