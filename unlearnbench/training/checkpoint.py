"""Trainings that were interrupted go on from their last checkpoint, to the same weights.

A checkpoint holds parameters, optimiser, schedule, the place among the batches and the state of the random numbers.
Each process writes its own part as safetensors; a small JSON file, written last, says which step is whole.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..runtime import distributed
from ..runtime.atomic import atomic_write, sha256_of

_log = logging.getLogger(__name__)

FACTS = "facts"
COPY = "copy."
"""Before the names of tensors that a training keeps beside its state: what it had come to after earlier steps."""

VERSION = 3
"""Raised when a training keeps something else than before: one that was interrupted before that starts anew."""

urgent = threading.Event()
"""Set when this process is about to be ended: the next checkpoint is due at once."""

PATIENCE = 20
"""A checkpoint is written no more often than this many times what writing the last one took: 5% of the time."""


class CheckpointFiles:
    """The trainings of one stage, in the order in which they happen; ``folder`` is the stage's own.

    ``seconds`` is the least time between two checkpoints of a training; zero for one after every step.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self._trainings = 0

    def training(self, what: str) -> "CheckpointFile":
        """The checkpoint of the stage's next training."""
        self._trainings += 1
        return CheckpointFile(self.folder, f"{self._trainings:02d}", what, self.seconds)


class CheckpointFile:
    """One training's, of which the last one written counts."""

    def __init__(self, folder: Path, name: str, what: str, seconds: float) -> None:
        self._folder, self._name, self._what, self._seconds = folder, name, what, seconds
        self._written, self._took = time.perf_counter(), 0.0

    def due(self) -> bool:
        """Whether it is time for another one; all processes get the first one's answer."""
        waited = time.perf_counter() - self._written
        usual = not self._seconds or waited >= max(self._seconds, PATIENCE * self._took)
        return distributed.agreed(usual or urgent.is_set())

    def save(
        self,
        parameters: Sequence[nn.Parameter],
        optimizer: Any,
        facts: dict[str, Any],
        copies: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write the state; once it is whole it replaces the one before."""
        start = time.perf_counter()
        state = optimizer.state_dict()
        tensors = {f"parameter.{place}": _part(parameter.data) for place, parameter in enumerate(parameters)}
        for place, values in state["state"].items():
            tensors |= {f"optimizer.{place}.{name}": _part(value) for name, value in values.items()}
        tensors |= {f"random.{name}": value for name, value in _random().items()}
        tensors |= {f"{COPY}{name}": value for name, value in (copies or {}).items()}
        facts = facts | {"what": self._what, "version": VERSION, "groups": state["param_groups"]}
        digests = distributed.gathered(self._write(tensors, facts))
        if None in digests:  # the training matters more
            return
        if distributed.is_first():
            self._count(facts["steps"], digests)
        distributed.gathered(None)
        urgent.clear()
        self._written = time.perf_counter()
        self._took = self._written - start

    def _write(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> str | None:
        """Write the part of this process; its digest, or None where it cannot be written."""
        mine = self._part_of(facts["steps"])
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(mine) as temporary:
                save_file(tensors, temporary, metadata={FACTS: json.dumps(facts)})
            return sha256_of(mine)
        except (OSError, SafetensorError) as error:
            _log.warning("%s: no checkpoint can be written (%s); it goes on without", self._what, error)
            self._seconds = math.inf
            return None

    def _count(self, step: int, digests: Sequence[str | None]) -> None:
        """Let the checkpoint of this step be the one that counts, and remove the one before."""
        with atomic_write(self._index) as temporary:
            temporary.write_text(json.dumps({"step": step, "parts": list(digests)}))
        kept = {self._part_of(step, place).name for place in range(distributed.processes())}
        for old in self._folder.glob(f"{self._name}-*.safetensors"):
            if old.name not in kept:
                old.unlink(missing_ok=True)

    def load(
        self, parameters: Sequence[nn.Parameter], optimizer: Any
    ) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Put the last state back and return its facts and its copies of tensors.

        None where there is none, or one of another training.
        """
        found = self._read()
        if distributed.gathered(found is not None) != [True] * distributed.processes():
            return None
        assert found is not None
        tensors, facts = found
        shapes = {f"parameter.{place}": _part(parameter.data).shape for place, parameter in enumerate(parameters)}
        same = (facts["what"], facts.get("version")) == (self._what, VERSION) and all(
            name in tensors and tensors[name].shape == shape for name, shape in shapes.items()
        )
        if not all(distributed.gathered(same)):
            _log.warning("%s: its checkpoint is of another training; it starts anew", self._what)
            return None
        with torch.no_grad():
            for place, parameter in enumerate(parameters):
                _part(parameter.data).copy_(tensors[f"parameter.{place}"])
        optimizer.load_state_dict({"state": _optimizer_state(tensors, optimizer), "param_groups": facts["groups"]})
        _set_random({name.removeprefix("random."): t for name, t in tensors.items() if name.startswith("random.")})
        _log.info("%s: going on after step %d", self._what, facts["steps"])
        return facts, {name.removeprefix(COPY): t for name, t in tensors.items() if name.startswith(COPY)}

    @property
    def _index(self) -> Path:
        return self._folder / f"{self._name}.json"

    def _part_of(self, step: int, place: int | None = None) -> Path:
        mine = distributed.place() if place is None else place
        return self._folder / f"{self._name}-{step:08d}-{mine + 1}of{distributed.processes()}.safetensors"

    def _read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        if not self._index.is_file():
            return None
        try:
            index = json.loads(self._index.read_text())
            mine = self._part_of(index["step"])
            if len(index["parts"]) != distributed.processes():
                _log.warning("%s: its checkpoint is of %d processes; it starts anew", self._what, len(index["parts"]))
                return None
            if sha256_of(mine) != index["parts"][distributed.place()]:
                raise ValueError("its content has changed")
            with safe_open(mine, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                return tensors, json.loads(file.metadata()[FACTS])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            _log.warning("%s: its checkpoint is damaged (%s); it starts anew", self._what, error)
            return None


def _part(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor that may be cut up."""
    return tensor.to_local() if distributed.is_cut_up(tensor) else tensor  # type: ignore[attr-defined]


def _optimizer_state(tensors: dict[str, Tensor], optimizer: Any) -> dict[int, dict[str, Tensor]]:
    """The optimiser's state by parameter, parts of it put where the parts of their parameters are."""
    from torch.distributed.tensor import DTensor

    owners = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind != "optimizer":
            continue
        place, _, which = rest.partition(".")
        owner = owners[int(place)]
        if isinstance(owner, DTensor) and tensor.ndim:
            local = tensor.to(owner.device)
            tensor = DTensor.from_local(
                local, owner.device_mesh, owner.placements, run_check=False, shape=owner.shape, stride=owner.stride()
            )
        state.setdefault(int(place), {})[which] = tensor
    return state


def _random() -> dict[str, Tensor]:
    cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state()} | cuda


def _set_random(states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
