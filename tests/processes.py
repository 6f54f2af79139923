"""The command line in processes that start at once: forked from one that has imported what takes seconds to import.

For tests in which a process is killed or is one of several, and how it starts is not what is asked. Environment
variables that libraries read when they are imported come too late here: `tests.cli.conftest.Installation` starts anew.
"""

import atexit
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import mkdtemp
from typing import Any

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["torch", "transformers", "peft", "scipy.stats", "unlearnbench.engine.runner"])


@dataclass(frozen=True)
class Started:
    """A command at work."""

    process: BaseProcess
    words: list[str]
    folder: Path

    def finish(self) -> "CompletedProcess[str]":
        """Wait for its end."""
        self.process.join()
        said = [(self.folder / name).read_text() for name in ("out", "err")]
        shutil.rmtree(self.folder)
        assert self.process.exitcode is not None
        return CompletedProcess(self.words, self.process.exitcode, *said)


def start(*words: object, before: Callable[..., None] | None = None, given: tuple[Any, ...] = ()) -> Started:
    """Start ``unlearnbench WORDS``; ``before``, a function of a module, is called with ``given`` in its process."""
    text, folder = [*map(str, words)], Path(mkdtemp(prefix="command-"))
    for name in ("out", "err"):
        (folder / name).touch()
    arguments = (text, dict(os.environ), Path.cwd(), folder, before, given)
    process = context.Process(target=_command, args=arguments)
    process.start()
    return Started(process, text, folder)


def run(
    *words: object, before: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
) -> "CompletedProcess[str]":
    """Start a command and wait for its end."""
    return start(*words, before=before, given=given).finish()


def _command(
    words: list[str],
    environment: dict[str, str],
    directory: Path,
    folder: Path,
    before: Callable[..., None] | None,
    given: tuple[Any, ...],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY), number)
    from unlearnbench.cli import main

    sys.argv = ["unlearnbench", *words]
    try:
        if before:
            before(*given)
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()  # which multiprocessing leaves out: who measures coverage waits for it
