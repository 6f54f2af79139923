import json
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from unlearnbench.results.row import Environment
from unlearnbench.runtime.provenance import environment

SOURCE = Path(__file__).resolve().parents[2] / "unlearnbench"

REPORT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from unlearnbench.runtime import provenance
assert "torch" not in sys.modules and "transformers" not in sys.modules and "numpy" not in sys.modules
print(json.dumps(provenance.environment("cpu")))
"""


@pytest.fixture
def checkout(tmp_path):
    """A copy of the package in a folder of its own; nothing is a repository yet."""
    folder = tmp_path / "checkout"
    for name in ("__init__.py", "errors.py", "runtime/__init__.py", "runtime/provenance.py"):
        target = folder / "unlearnbench" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / name, target) if name != "__init__.py" else target.touch()
    return folder


def commit(folder):
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return found.stdout.strip()


def report(checkout, cwd, **variables):
    done = subprocess.run(
        [sys.executable, "-B", "-c", REPORT, str(checkout)],
        cwd=cwd, check=True, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **variables},
    )  # fmt: skip
    return json.loads(done.stdout)


def test_it_is_what_a_row_needs():
    found = environment("cpu, 2 cores")
    assert Environment.model_validate(found).model_dump() == {**found, "processes": 1, "exact": False}
    assert found["device"] == "cpu, 2 cores"
    assert found["python"] == platform.python_version()
    assert found["packages"]["pydantic"] == version("pydantic")
    assert all(isinstance(each, str) for each in found["packages"].values())


def test_the_commit_is_that_of_the_package_and_not_of_the_current_folder(checkout, tmp_path):
    sha = commit(checkout)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("")
    commit(elsewhere)
    assert report(checkout, elsewhere)["git"] == {"sha": sha, "dirty": False}
    assert report(checkout, elsewhere, GIT_DIR=str(elsewhere / ".git"))["git"] == {"sha": sha, "dirty": False}


def test_changed_or_added_code_is_dirty_and_results_are_not(checkout):
    commit(checkout)
    (checkout / "results").mkdir()
    (checkout / "results" / "rows.jsonl").write_text("{}")
    assert report(checkout, checkout)["git"]["dirty"] is False
    (checkout / "unlearnbench" / "new.py").write_text("")
    assert report(checkout, checkout)["git"]["dirty"] is True


def test_an_installed_package_has_no_commit_even_inside_a_repository(checkout, tmp_path):
    (tmp_path / "file").write_text("")
    commit(tmp_path)
    assert report(checkout, tmp_path)["git"] is None


def test_a_checkout_without_a_commit_or_without_git_has_none(checkout, tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    assert report(checkout, tmp_path)["git"] is None
    commit(checkout)
    assert report(checkout, tmp_path, PATH="/nowhere")["git"] is None
