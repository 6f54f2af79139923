"""The command line as a user has it: a process of its own, with distributions that were installed beside ours."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.place import place as place


@dataclass
class Installation:
    """A folder of installed distributions and a working directory; ``run`` is one command line."""

    packages: Path
    directory: Path

    def install(self, name: str, entry_points: dict[str, dict[str, str]], metadata: str = "", **modules: str) -> None:
        """What pip leaves behind for ``name`` 1.0: its modules' source and its metadata."""
        about = self.packages / f"{name.replace('-', '_')}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}")
        groups = {
            f"[{group}]": "\n".join(f"{k} = {v}" for k, v in names.items()) for group, names in entry_points.items()
        }
        (about / "entry_points.txt").write_text("\n".join(f"{group}\n{names}\n" for group, names in groups.items()))
        for module, source in modules.items():
            (self.packages / f"{module}.py").write_text(source)

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(self.packages), "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "unlearnbench", *arguments, **environment)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    (tmp_path / "packages").mkdir()
    (tmp_path / "work").mkdir()
    return Installation(tmp_path / "packages", tmp_path / "work")


METHOD = '''
from unlearnbench import Method, Params, method
from pydantic import Field

class Schedule(Params):
    """Nested."""
    rate: float = Field(0.1, description="how fast")

@method("{name}", reference="arXiv:0000.00000", version="3")
class Forgetful(Method):
    """Forgets everything."""

    start = "pretrained"

    class Params(Params):
        steps: int = Field(7, description="how many")
        mode: str | None = None
        schedule: Schedule = Schedule(rate=0.5)
        presets = {{"tiny": {{"steps": 70}}}}

    def unlearn(self, model, sets, run):
        return None
'''


@pytest.fixture
def forgetful() -> str:
    """The source of a module that defines the method ``forgetful`` as the class ``Forgetful``."""
    return METHOD.format(name="forgetful")
