import signal
import subprocess
import sys
import time

import pytest
import typer
from pydantic import BaseModel

from unlearnbench import __version__, cli
from unlearnbench.errors import DataError, UsageError


class Fields(BaseModel):
    count: int = 0
    nested: dict[str, int] = {}


def invalid(**fields):
    def command() -> None:
        Fields.model_validate(fields)

    return command


def failing(error):
    def command() -> None:
        raise error

    return command


def outcome(monkeypatch, capsys, command, *arguments):
    """Exit code and standard error of ``command`` run as the only verb of the command line."""
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(cli.options)
    app.command("verb")(command)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["unlearnbench", *(arguments or ["verb"])])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "code", "line"),
    [
        (lambda: None, 0, None),
        (failing(typer.Exit(1)), 1, None),
        (failing(UsageError("no method 'x'; see\nunlearnbench list")), 2, "no method 'x'; see unlearnbench list"),
        (failing(DataError("full.json is missing; fetch it")), 1, "full.json is missing; fetch it"),
        (failing(KeyboardInterrupt()), 130, "interrupted"),
        (
            failing(TypeError("no")),
            1,
            "unexpected TypeError: no (run again with --debug for the traceback)",
        ),
        (
            invalid(count="many"),
            2,
            "count: Input should be a valid integer, unable to parse string as an integer (given: 'many')",
        ),
        (
            invalid(nested={"a": "x", "b": "y"}),
            2,
            "nested.a: Input should be a valid integer, unable to parse string as an integer (given: 'x') (and 1 more)",
        ),
    ],
)
def test_every_end_has_its_line_and_code(monkeypatch, capsys, command, code, line):
    assert outcome(monkeypatch, capsys, command) == (code, f"error: {line}\n" if line else "")


@pytest.mark.parametrize("arguments", [["--debug", "verb"], ["verb", "--debug"]])
@pytest.mark.parametrize("error", [TypeError("no"), UsageError("no")])
def test_debug_shows_the_traceback_wherever_it_stands(monkeypatch, capsys, arguments, error):
    code, said = outcome(monkeypatch, capsys, failing(error), *arguments)
    assert code == (2 if isinstance(error, UsageError) else 1)
    assert "Traceback" in said
    assert "in command" in said
    assert "\nerror: " in said


def test_debug_behind_a_double_dash_is_an_argument(monkeypatch, capsys):
    def command(words: list[str]) -> None:
        raise UsageError(" ".join(words))

    assert outcome(monkeypatch, capsys, command, "verb", "--", "--debug") == (2, "error: --debug\n")


def test_wrong_options_are_one_line(installation):
    for arguments, line in (
        (["lst"], "error: No such command 'lst'. Did you mean 'list'? See unlearnbench --help\n"),
        (["show"], "error: Missing argument 'name'. See unlearnbench show --help\n"),
    ):
        done = installation.run(*arguments)
        assert (done.returncode, done.stderr.lower()) == (2, line.lower())


def test_no_arguments_show_the_help(installation):
    done = installation.run()
    assert done.returncode == 2
    for verb in ("run", "plan", "list", "show", "score", "data", "doctor"):
        assert f"\n  {verb} " in done.stderr
    assert "error" not in done.stderr.replace("error's", "")


def test_version(installation):
    assert installation.run("--version").stdout == f"unlearnbench {__version__}\n"


def test_control_c_ends_with_130_and_one_line(installation):
    (installation.directory / "slow.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "unlearnbench", "list", "--plugin", "slow.py"],
        cwd=installation.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background of a shell has it ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said.strip()) == (130, "error: interrupted")
