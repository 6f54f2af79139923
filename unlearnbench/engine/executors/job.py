"""A run as another process can take it up: the command's options in a file, and the cells by their names."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ...config import RunConfig
from ...errors import UsageError
from ...registry import load_plugin
from ...runtime.startup import carry
from ..artefacts import Store
from ..planning import Plan, plan


class Job(BaseModel):
    """What a worker needs to know of the run that it works for. Paths are absolute."""

    model_config = ConfigDict(frozen=True)

    config: RunConfig
    plugins: tuple[Path, ...] = ()
    results: Path
    store: Path
    command: tuple[str, ...]
    """What was typed: rows say so."""
    checkpoint_seconds: float | None = None
    join_seconds: float = 600.0
    """How long the processes of a worker wait for each other to start."""
    path: tuple[str, ...] = ()
    """Where the run could import from. Its workers can too, but there only what is found nowhere else: a file of the
    working folder never takes the place of a module that is installed."""

    def to_json(self) -> bytes:
        """For another process to read; paths may hold bytes that are no UTF-8, so letters are escaped."""
        return json.dumps(self.model_dump(), default=str).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Job":
        """What `to_json` wrote."""
        return cls.model_validate(json.loads(data))

    def plans(self) -> dict[str, Plan]:
        """The run's cells by their names, planned anew in this process."""
        sys.path += [place for place in self.path if place not in sys.path]
        for file in self.plugins:
            load_plugin(file)
        carry(self.command)
        return {each.row_id: each for each in plan(self.config, Store(self.store), told=True)}


def chosen(plans: dict[str, Plan], row_id: str) -> Plan:
    """The plan of that name; raises `UsageError` where data or code have changed since the run began."""
    if row_id not in plans:
        raise UsageError(f"cell {row_id} is no longer part of the run: its data or code have changed; run again")
    return plans[row_id]
