"""The page on adding an attack: its files are attacks as they stand, pass their check, and run as it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run as forked
from unlearnbench.results.row import Row

PAGE = Path(__file__).parents[2] / "docs" / "adding-an-attack.md"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files on the page, in a folder."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in re.findall(r'```python\n("""(?P<name>\w+)\.py:.*?)```', PAGE.read_text(), re.DOTALL):
        (folder / f"{text}.py").write_text(name)
    return folder


def test_both_files_pass_the_check_that_the_page_shows(files: Path) -> None:
    """In a process of its own: another test may have registered these names from another folder."""
    assert {path.stem for path in files.glob("*.py")} == {"shout", "pruned"}
    *_, checks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    load = "from pathlib import Path\nfrom unlearnbench import load_plugin\n"
    load += "".join(f"load_plugin(Path({str(file)!r}))\n" for file in files.glob("*.py"))
    done = subprocess.run([sys.executable, "-c", load + checks], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_they_run_as_written_and_every_model_is_attacked(
    files: Path, tmp_path: Path, random_model: Path, small_data: Path
) -> None:
    words = [
        "run",
        "--method",
        "finetune",
        "--model",
        str(random_model),
        "--task",
        "fiubench",
        "--data",
        str(small_data),
    ]
    words += ["--attack", "shout,pruned", "--plugin", str(files / "shout.py"), "--plugin", str(files / "pruned.py")]
    words += ["--forget", "2", "--device", "cpu", "--json", "--executor", "inline", "--quiet"]
    for setting in ("base.epochs=1", "retrain.epochs=1", "fiubench.max_new_tokens=2", "shout.utility=2"):
        words += ["--set", setting]
    done = forked(*words, "--results", str(tmp_path / "results"), "--store", str(tmp_path / "store"))
    rows = [Row.model_validate(row) for row in json.loads(done.stdout)]
    assert [(row.method.name, row.attack and row.attack.name, row.status) for row in rows] == [
        (method, attack, "ok") for method in ("finetune", "retrain") for attack in (None, "shout", "pruned")
    ]
    assert rows[2].attack is not None
    assert rows[2].attack.variants == ["10 percent less", "30 percent less"]
    assert "forget@30 percent less.exact_match" in rows[2].metrics
