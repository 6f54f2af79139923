"""The command line: one module a verb; what a verb needs beyond parsing is imported when it runs.

Whatever goes wrong ends in one line on stderr, ``error: ...``, and an exit code: 2 for what the command says, 1 for
what failed, 130 for an interruption. ``--debug``, before or after the verb, shows the traceback too.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ..errors import UnlearnbenchError
from ..runtime import startup
from . import data, doctor, leaderboard, plan, report, run, show, status, store
from . import list as listing
from .model import ask, evaluate, export, metrics_check, score
from .parts import terminal

if TYPE_CHECKING:
    from pydantic import ValidationError

app = typer.Typer(
    name="unlearnbench",
    help="A benchmark harness for unlearning in vision-language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time, and shows [default: ...] that markup would swallow
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("evaluate")(evaluate.evaluate)
app.command("plan")(plan.plan)
app.command("list")(listing.list_plugins)
app.command("show")(show.show)
app.command("score")(score.score)
app.command("report")(report.report)
app.command("metrics-check")(metrics_check.metrics_check)
app.command("ask")(ask.ask)
app.command("export")(export.export)
app.command("status")(status.status)
app.add_typer(store.app, name="store")
app.add_typer(data.app, name="data")
app.add_typer(leaderboard.app, name="leaderboard")
app.command("doctor")(doctor.doctor)

_INTERRUPTED = 130


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"unlearnbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback; may follow the verb.")] = False,
) -> None:
    """Declare the global options; `main` reads ``--debug``, and ``--version`` has been obeyed by now."""


def main() -> NoReturn:
    """The console script: obey the process's command line and exit."""
    startup.console()
    with terminal.prepared():
        code = _obey(*_without_debug(sys.argv[1:]))
    sys.exit(code)


def _obey(words: Sequence[str], debug: bool) -> int:
    """Run the command; returns the exit code."""
    try:
        with _logging_everything() if debug else nullcontext():
            code = app(words, prog_name="unlearnbench", standalone_mode=False)
        sys.stdout.flush()  # a full disk behind it is an error like others
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        return _report(error)
    if code == _INTERRUPTED:  # typer makes this of an interruption, without a word
        return _report(KeyboardInterrupt())
    return code or 0


@contextmanager
def _logging_everything() -> Iterator[None]:
    """Show what the package logs, tracebacks of failed cells among it."""
    logger, handler = logging.getLogger("unlearnbench"), logging.StreamHandler()
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _without_debug(words: Sequence[str]) -> tuple[Sequence[str], bool]:
    """The words before any ``--`` without ``--debug``, and whether it was among them: so it may stand anywhere."""
    end = words.index("--") if "--" in words else len(words)
    return [*(word for word in words[:end] if word != "--debug"), *words[end:]], "--debug" in words[:end]


def _report(error: BaseException) -> int:
    """Say in one line what went wrong; returns the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the parser's way of showing a command's help
        typer.echo(str(error), err=True)
        return 2
    message, code = _explain(error)
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _explain(error: BaseException) -> tuple[str, int]:
    from pydantic import ValidationError

    from ..runtime.plugin_files import plugin_line

    if isinstance(error, UnlearnbenchError):
        return str(error), error.exit_code
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "interrupted", _INTERRUPTED
    if isinstance(error, ValidationError):
        return _first_fault(error), 2
    if say := getattr(error, "format_message", None):  # the parser's; typer's or click's class, by typer's version
        context = getattr(error, "ctx", None)
        hint = f" See {context.command_path} --help" if context else ""
        return f"{say()}{hint}", int(getattr(error, "exit_code", 2))
    if isinstance(error, OSError) and (advice := terminal.advice(error)):
        return advice, 1
    return (
        f"unexpected {type(error).__name__}: {error}{plugin_line(error)} (run again with --debug for the traceback)",
        1,
    )


def _first_fault(error: "ValidationError") -> str:
    """The first field that is wrong, and how many more are."""
    fault, *others = error.errors(include_url=False)
    field = ".".join(map(str, fault["loc"])) or error.title
    more = f" (and {len(others)} more)" if others else ""
    return f"{field}: {fault['msg']} (given: {fault['input']!r}){more}"
