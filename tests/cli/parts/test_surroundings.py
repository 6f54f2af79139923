"""Terminals, pipes, locales and homes of every kind: what was computed is shown and kept."""

import getpass
import io
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from rich.console import Console
from rich.table import Table

from unlearnbench.cli.parts import terminal
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import default_store
from unlearnbench.engine.executors.job import Job
from unlearnbench.errors import UsageError
from unlearnbench.runtime import startup


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], bytes]:
    """The bytes that arrive at a terminal of this encoding when something is printed."""

    def through(encoding: str, show: Callable[[], None]) -> bytes:
        read, write = os.pipe()
        with monkeypatch.context() as patched, os.fdopen(read, "rb") as out:
            patched.setattr(sys, "stdout", io.TextIOWrapper(io.FileIO(write, "w"), encoding))
            with terminal.prepared():
                show()
            os.close(write)
            return out.read()

    return through


def table() -> None:
    made = Table(title="↓ lower ×3")
    made.add_column("ROUGE↓")
    made.add_row("0.5 ± 0.1")
    Console(width=40).print(made)


@pytest.mark.parametrize(
    ("encoding", "wanted"),
    [("ascii", "v lower x3"), ("latin-1", "v lower ×3"), ("cp437", "v lower x3"), ("utf-8", "↓ lower ×3")],
)
def test_a_table_is_shown_in_the_letters_that_there_are(printed, encoding, wanted):
    text = printed(encoding, table).decode(encoding)
    assert wanted in text
    assert ("0.5 +- 0.1" if encoding == "ascii" else "0.5 ± 0.1") in text


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "utf-8"])
def test_json_stays_what_it_says(printed, encoding):
    facts = [{"text": "é ↓ ± 😀 中", "lone": "\udcff"}]
    data = printed(encoding, lambda: typer.echo(json.dumps(facts, ensure_ascii=False)))
    assert json.loads(data.decode(encoding)) == facts


def test_a_files_name_keeps_its_bytes(printed):
    name = os.fsdecode(b"caf\xe9\xff")
    assert printed("utf-8", lambda: typer.echo(f"rows: {name}")) == b"rows: caf\xe9\xff\n"


def test_a_reader_that_goes_away_ends_nothing(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.FileIO(write, "w"), "utf-8"))
    with terminal.prepared():
        for _ in range(3):
            typer.echo("x" * 100_000)
            table()


def test_no_streams_at_all_end_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with terminal.prepared():
        typer.echo("nobody hears")
        table()
    assert sys.stdout is None


@pytest.mark.parametrize(("columns", "width"), [("0", None), ("1", 40), ("39", 40), ("60", 60), ("wide", None)])
def test_tables_have_room_whatever_the_environment_says(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    with terminal.prepared():
        found = Console(file=io.StringIO()).width
    assert found == width if width else found >= 40
    assert os.environ["COLUMNS"] == columns


def test_errors_of_the_file_system_say_what_to_do():
    assert "set TMPDIR" in terminal.advice(FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"))
    assert terminal.advice(OSError(28, "No space left on device", "/full/x")) == (
        "/full/x: No space left on device: free some space or choose another folder"
    )
    assert terminal.advice(FileNotFoundError(2, "No such file", "x")) is None


def test_without_a_home_folder_the_store_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(UsageError, match=r"no home folder .* --store, or set HOME"):
        default_store()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_store() == tmp_path / "unlearnbench"


def test_libraries_have_a_home_where_the_system_knows_none(monkeypatch, tmp_path):
    """NLTK, which scores text, cannot be imported without one; trained models are not put there."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "x")  # so that what is set below is taken back
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    monkeypatch.setattr(startup, "_lent", False)
    with pytest.raises(RuntimeError):
        Path.home()
    startup.console()
    assert Path.home() == Path(tempfile.gettempdir())
    assert getpass.getuser() == f"user{os.getuid()}"
    assert startup.home() is None
    with pytest.raises(UsageError, match="no home folder"):
        default_store()


def test_a_home_that_is_known_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    startup.console()
    assert os.environ["HOME"] == str(tmp_path)
    assert startup.home() == tmp_path


@pytest.mark.parametrize(("told", "holds"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_user_wants_them_to_spin(monkeypatch, told, holds):
    monkeypatch.setenv("OMP_WAIT_POLICY", told or "")
    if told is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    startup.console()
    assert os.environ["OMP_WAIT_POLICY"] == holds


def test_a_job_reaches_its_worker_whatever_its_paths_hold():
    name = os.fsdecode(b"/tmp/caf\xe9")
    config = RunConfig(
        methods=("finetune",), models=(name,), settings={"base": {"epochs": (1, 2)}}, data_of={"x": name}
    )
    job = Job(config=config, plugins=(Path(name),), results=Path(name), store=Path("/é"), command=(name, "é"))
    assert Job.from_json(job.to_json()) == job
    assert job.to_json().isascii()


PRINTS = """
from unlearnbench import Method, method

@method("prints-letters")
class Prints(Method):
    start = "pretrained"

    def unlearn(self, model, sets, run):
        from letters import TEXT

        print(TEXT)
"""


def test_a_run_in_poor_surroundings_keeps_and_shows_its_rows(tmp_path: Path) -> None:
    """No UTF-8, no home, no width, a results folder whose name is no text, and a plug-in that prints what it likes.

    What it prints is in a file beside it, which its worker finds too.
    """
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    (tmp_path / "prints.py").write_text(PRINTS)
    (tmp_path / "letters.py").write_text('TEXT = "é 😀"\n', encoding="utf-8")
    words = ["run", "--method", "prints-letters", "--model", "tiny-qwen2.5-vl", "--task", "pope", "--limit", "2", "-q"]
    words += ["--data", "embedded", "--plugin", str(tmp_path / "prints.py"), "--store", str(tmp_path / "é")]
    command = [sys.executable, "-m", "unlearnbench", *words, "--results", folder + b"/r"]
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "0"}
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "PYTHONIOENCODING")}
    done = subprocess.run(command, env=kept | poor, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"prints-letters" in done.stdout
    assert b"v lower is better" in done.stdout
    [row] = map(json.loads, Path(os.fsdecode(folder), "r", "rows.jsonl").read_bytes().splitlines())
    assert row["status"] == "ok"
    [log] = Path(os.fsdecode(folder), "r", "logs").glob("*.log")
    assert "é 😀" in log.read_text("utf-8")
