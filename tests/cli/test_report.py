"""``unlearnbench report`` on rows that a run could have written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from unlearnbench.cli import app
from unlearnbench.embedded import embedded_folder
from unlearnbench.engine.keys import digest
from unlearnbench.errors import UsageError
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore

FACE = next((embedded_folder() / "SFHQ").glob("*.png"))


def sample(image: str, **changes: object) -> dict[str, object]:
    explanation = {
        "image": image,
        "grid": [5, 5],
        "flagged": True,
        "scores": [i / 25 for i in range(25)],
        "chosen": [0, 7],
    }
    said = {"set": "forget", "id": "1/1", "question": "What is $x_1$?", "answer": "a", "prediction": "b"}
    return said | {"explanation": explanation | changes}


def fields(method: str, seed: int, k: int, metrics: dict[str, tuple[float, bool]]) -> dict[str, object]:
    return {
        "row_id": digest([method, seed, k]),
        "status": "ok",
        "method": {"name": method, "version": "1", "origin": "x", "params": {"k": k}},
        "model": {
            "name": "tiny", "family": "f", "source": "s", "revision": None, "weights_digest": None, "dtype": None,
        },
        "task": {
            "name": "fiubench", "version": "1", "split": "forget 4 of 20 (custom split)", "options": {},
            "data": {"source": "embedded", "id": "e", "revision": None, "fingerprint": "f"},
        },
        "seed": seed,
        "base_seed": seed,
        "metrics": {n: {"value": v, "n": 5, "higher_is_better": b} for n, (v, b) in metrics.items()},
        "cost": {"trainable_parameters": 10},
        "environment": {"unlearnbench": "0", "git": None, "python": "3", "packages": {}, "device": "cpu", "os": "x"},
        "command": [],
        "started_at": "2026-11-22T19:00:00Z",
        "finished_at": "2026-11-22T19:01:00Z",
    }  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> RowStore:
    store = RowStore(tmp_path / "results")
    for method in ("ours", "theirs"):
        for k in (4, 8, 16):
            for seed in (0, 1):
                made = fields(method, seed, k, {"forget.rouge_l": (k / 20, False), "retain.rouge_l": (0.9, True)})
                records = [sample(f"SFHQ/{FACE.name}")] if (method, k, seed) == ("ours", 4, 0) else []
                made["samples"] = store.write_samples(str(made["row_id"]), records)
                store.append(Row.model_validate(made))
    return store


def report(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["report", *words])
    said = str(done.exception) if isinstance(done.exception, UsageError) else done.stderr
    return done.exit_code, done.stdout, said


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "latex"])
def test_every_format_names_every_method(results: RowStore, form: str) -> None:
    code, out, _ = report(str(results.rows.parent), "--format", form)
    assert code == 0
    assert "ours" in out
    assert "theirs" in out


def test_out_gets_tables_and_pictures(results: RowStore, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    code, said, _ = report(str(results.rows), "--out", str(out))
    assert code == 0
    names = {path.name for path in out.iterdir()}
    pictures = {"trade-off-tiny", "sweep-ours-k-tiny", "sweep-theirs-k-tiny", "attention-ours-tiny"}
    assert names == {"table.md", "table.csv", "table.tex"} | {f"{p}.{s}" for p in pictures for s in ("png", "pdf")}
    for name in pictures:
        with Image.open(out / f"{name}.png") as image:
            assert min(image.size) > 500
            assert len(image.convert("RGB").resize((64, 64)).getcolors(64 * 64)) > 10
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert all(f"wrote {out / name}" in said.replace("\n", "") or name in said for name in names)


def test_only_some_methods(results: RowStore) -> None:
    assert "theirs" not in report(str(results.rows), "--method", "ours")[1]
    code, _, said = report(str(results.rows), "--method", "nobody")
    assert code != 0
    assert "no row of it; there are ours, theirs" in said


def test_a_folder_without_rows_is_named(tmp_path: Path) -> None:
    code, _, said = report(str(tmp_path))
    assert code != 0
    assert f"{tmp_path} holds no rows.jsonl" in said


@pytest.mark.parametrize(
    ("image", "changes", "said"),
    [
        ("../../../../../../etc/passwd", {}, "is not in"),
        ("/etc/passwd", {}, "is not in"),
        ("SFHQ/gone.png", {}, "is not in"),
        (f"SFHQ/{FACE.name}", {"chosen": [25]}, "outside of the grid"),
        (f"SFHQ/{FACE.name}", {"scores": [0.0]}, "1 scores for 25 tokens"),
        (f"SFHQ/{FACE.name}", {"grid": [0, 5]}, "outside of the grid"),
        (f"SFHQ/{FACE.name}", {"covers": [1.0, 0.0]}, "greater than 0"),
    ],
)
def test_a_damaged_explanation_leaves_out_its_picture_alone(
    tmp_path: Path, image: str, changes: dict[str, object], said: str
) -> None:
    store = RowStore(tmp_path / "results")
    made = fields("ours", 0, 4, {"forget.rouge_l": (0.1, False), "retain.rouge_l": (0.9, True)})
    made["samples"] = store.write_samples("a", [sample(image, **changes)])
    store.append(Row.model_validate(made))
    code, _, err = report(str(tmp_path / "results"), "--out", str(tmp_path / "out"))
    assert code == 0
    assert "no attention picture of ours: sample 1/1: " in err
    assert said in err
    assert len(err.splitlines()) == 1
    assert not list((tmp_path / "out").glob("attention*"))
    assert (tmp_path / "out" / "trade-off-tiny.png").is_file()


def stored(tmp_path: Path, records: list[dict[str, object]], source: str = "embedded") -> RowStore:
    store = RowStore(tmp_path / "results")
    made = fields("ours", 0, 4, {"forget.rouge_l": (0.1, False)})
    made["task"]["data"]["source"] = source  # type: ignore[index]
    made["samples"] = store.write_samples("a", records)
    store.append(Row.model_validate(made))
    return store


def test_a_picture_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (data / "good.png").write_bytes(FACE.read_bytes())
    (data / "way.png").symlink_to("/etc/passwd")
    stored(tmp_path, [sample(name) for name in ("bad.png", "nul\0.png", "way.png", "good.png")], "folder")
    out = tmp_path / "out"
    code, _, err = report(str(tmp_path / "results"), "--out", str(out), "--data", str(data))
    assert code == 0
    assert [line.partition(": sample 1/1: ")[0] for line in err.splitlines()] == ["no attention picture of ours"] * 3
    assert (out / "attention-ours-tiny.png").is_file()


@pytest.mark.parametrize("source", ["folder", "hub"])
def test_pictures_elsewhere_are_asked_for_and_never_fetched(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object, **__: object) -> None:
        pytest.fail("fetched")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    stored(tmp_path, [sample(f"SFHQ/{FACE.name}")], source)
    words = (str(tmp_path / "results"), "--out", str(tmp_path / "out"))
    code, _, err = report(*words)
    assert code == 0
    assert "give their folder with --data" in err
    assert report(*words, "--data", str(embedded_folder()))[0] == 0
    assert (tmp_path / "out" / "attention-ours-tiny.png").is_file()
    assert report(*words, "--data", str(tmp_path / "none"))[0] != 0


def test_pictures_from_the_hub_are_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    from huggingface_hub import cached_assets_path

    folder = cached_assets_path("unlearnbench", "o/d", "c0ffee", assets_dir=tmp_path / "assets") / "files"
    (folder / "SFHQ").mkdir(parents=True)
    (folder / "SFHQ" / FACE.name).write_bytes(FACE.read_bytes())
    store = RowStore(tmp_path / "results")
    made = fields("ours", 0, 4, {"forget.rouge_l": (0.1, False)})
    made["task"]["data"] |= {"source": "hub", "id": "o/d", "revision": "c0ffee"}  # type: ignore[index]
    made["samples"] = store.write_samples("a", [sample(f"SFHQ/{FACE.name}")])
    store.append(Row.model_validate(made))
    assert report(str(tmp_path / "results"), "--out", str(tmp_path / "out"))[0] == 0
    assert (tmp_path / "out" / "attention-ours-tiny.png").is_file()


def test_damaged_lines_are_told_and_the_others_count(results: RowStore) -> None:
    whole = results.rows.read_bytes()
    results.rows.write_bytes(b"{}\n" + whole)
    code, out, err = report(str(results.rows), "--format", "csv")
    assert code == 0
    assert f"warning: {results.rows}:1: not a row" in err
    results.rows.write_bytes(whole)
    assert report(str(results.rows), "--format", "csv")[1] == out


def test_an_empty_file_says_how_to_fill_it(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    code, _, said = report(str(tmp_path))
    assert code != 0
    assert f"holds no rows; compute some first: unlearnbench run --results {tmp_path}" in said


def test_failed_cells_are_told_beside_the_format_and_not_in_it(results: RowStore) -> None:
    failed = fields("broken", 0, 4, {}) | {"status": "error", "error": {"type": "E", "message": "no memory"}}
    results.append(Row.model_validate(failed))
    code, out, err = report(str(results.rows), "--format", "markdown")
    assert code == 0
    assert "no memory" in err
    assert "broken" not in out


def test_names_that_make_one_file_name_make_two_files(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "results")
    for name in ("a_b", "a b"):
        made = fields("ours", 0, 4, {"forget.rouge_l": (0.1, False), "retain.rouge_l": (0.9, True)})
        store.append(Row.model_validate(made | {"row_id": digest(name), "model": made["model"] | {"name": name}}))  # type: ignore[operator]
    assert report(str(tmp_path / "results"), "--out", str(tmp_path / "out"))[0] == 0
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"trade-off-a-b.png", "trade-off-a-b-2.png"}


def test_tables_need_neither_torch_nor_matplotlib(results: RowStore) -> None:
    program = (
        "import sys; from unlearnbench.cli import app\n"
        f"app(['report', {str(results.rows)!r}, '--format', 'latex'], standalone_mode=False)\n"
        "assert not {'torch', 'transformers', 'matplotlib'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.dumps(done.stdout)


def test_several_folders_are_one_report_and_a_row_in_two_of_them_counts_once(results: RowStore, tmp_path: Path) -> None:
    alone = report(str(results.rows), "--format", "csv")[1]
    other = RowStore(tmp_path / "other")
    for row in results.scan().rows:
        other.append(row)
    other.append(Row.model_validate(fields("third", 0, 4, {"forget.rouge_l": (0.3, False)})))
    code, both, _ = report(str(results.folder), str(other.rows), "--format", "csv")
    assert code == 0
    assert [line for line in both.splitlines() if ",third," not in line] == alone.splitlines()
    assert ",third," in both


def test_lines_that_stand_twice_count_once_and_git_may_change_their_ends(results: RowStore) -> None:
    once = report(str(results.rows), "--format", "csv")[1]
    results.rows.write_bytes(results.rows.read_bytes() * 2)
    assert report(str(results.rows), "--format", "csv") == (0, once, "")
    results.rows.write_bytes(results.rows.read_bytes().replace(b"\n", b"\r\n"))
    assert report(str(results.rows), "--format", "csv") == (0, once, "")


def test_pictures_of_several_folders_find_their_samples(tmp_path: Path) -> None:
    stores = [RowStore(tmp_path / name) for name in ("one", "two")]
    for store, method in zip(stores, ("ours", "theirs"), strict=True):
        row_id = digest(method)
        samples = store.write_samples(row_id, [sample(f"SFHQ/{FACE.name}")])
        made = fields(method, 0, 4, {"forget.rouge_l": (0.1, False)}) | {"row_id": row_id}
        store.append(Row.model_validate(made | {"samples": samples.model_dump()}))
    assert report(*(str(store.folder) for store in stores), "--out", str(tmp_path / "out"))[0] == 0
    names = {path.name for path in (tmp_path / "out").glob("attention-*.png")}
    assert names == {"attention-ours-tiny.png", "attention-theirs-tiny.png"}
