"""Which modules can be imported, found out in another process: one that crashes or never ends takes nothing along."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from tempfile import TemporaryFile

SECONDS = 240.0
"""How long all of them may take; the first import of torch from a network file system takes minutes."""

OURS = (
    "unlearnbench.engine.runner",
    "unlearnbench.models.files.load",
    "unlearnbench.report.terminal",
)
"""Our own modules that stand on the most of what others wrote: each imports more of a package than its name does."""

_PROGRAM = """
import importlib, json, os, sys
told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what modules print is no answer
for name in sys.argv[1:]:
    print(json.dumps([name, None]), file=told, flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
    else:
        said = ""
    print(json.dumps([name, said]), file=told, flush=True)
told.close()
os._exit(0)  # some libraries crash when they are taken down, which says nothing of their use
"""


def broken(modules: Sequence[str]) -> dict[str, str]:
    """Why each of those ``modules`` that cannot be imported cannot."""
    found, left = dict[str, str](), list(modules)
    while left:
        for name, why in _tried(left):
            left.remove(name)
            if why:
                found[name] = why
    return found


def _tried(modules: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What became of each, as far as one process comes."""
    from ...engine.executors.process import PYTHON, ending

    with TemporaryFile("w+", encoding="utf-8") as out, TemporaryFile("w+", encoding="utf-8", errors="replace") as err:
        command = [sys.executable, *PYTHON, "-c", _PROGRAM, *modules]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)  # noqa: S603
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        out.seek(0)
        err.seek(0)
        told, printed = [json.loads(line) for line in out.read().splitlines()], err.read()
    answers = {name: why for name, why in told if why is not None}
    yield from answers.items()
    if at := next((name for name in modules if name not in answers), None):
        yield at, f"it takes more than {SECONDS:g} seconds" if code is None else ending(code, printed)
