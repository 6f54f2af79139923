"""What `run` and `plan` look at before anything is fetched: whether the grid fits, and which kind of base it takes."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from ...errors import ModelError, UsageError
from ...runtime.device import launch

if TYPE_CHECKING:
    from ...config import RunConfig
    from ...engine.artefacts import Store
    from ...engine.memory.estimate import Machine
    from ...models.files.card import ModelCard

AUTO = "auto"
CONFIGS = ("config.json", "*processor_config.json")
"""What of a model's files its memory is counted by."""


@dataclass(frozen=True)
class Looked:
    """The grid as it fits, and the lines that were said; ``again`` is whether to look once more when all is fetched."""

    config: "RunConfig"
    lines: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True)
class Looking:
    """How to look at a grid: with which ``--base`` and ``--gpu-memory``, on how many processes, in which store.

    ``here`` is whether it is computed on this machine, and now. A ``dry`` look fetches nothing and only tells what does
    not fit; any other fetches the configuration of a model of which nothing is here, to count with, and says so.
    """

    base: str | None
    processes: int
    gpu_memory: float | None
    store: "Store"
    here: bool
    dry: bool

    def at(self, config: "RunConfig", before: Looked | None = None) -> Looked:
        """The grid as it fits: said in a line for each large model, and for any where ``--base auto`` asks for it.

        What was said ``before`` is not said again. Raises `UsageError` where something cannot fit, and where a large
        model meets no GPU.
        """
        from ...models.files.source import card_for

        us = launch()
        processes = us.processes if us else self.processes
        cards = {name: card_for(name) for name in config.models}
        looked = {name: card for name, card in cards.items() if self.base == AUTO or card.scale == "large"}
        if not (looked := {name: card for name, card in looked.items() if _is_known(card, fetch=not self.dry)}):
            return Looked(config)
        machine = _machine(config, looked, processes, self.gpu_memory, here=self.here)
        from ...engine.memory.choice import settle
        from ...engine.memory.machine import gpus_here

        made = settle(config, dict.fromkeys(looked, machine), self.store)
        if made.problems and not self.dry:
            raise UsageError("; ".join(made.problems))
        lines = [*made.lines, *(f"run would refuse this: {problem}" for problem in made.problems)]
        if lines and machine.kind != "cpu" and not self.gpu_memory and not gpus_here(config.device):
            lines = ["no GPU here: counted for one of 80 GB; --gpu-memory GB for another, or --device cpu", *lines]
        for line in lines if us is None or us.rank == 0 else ():
            if before is None or line not in before.lines:
                typer.echo(line, err=True)
        _check_torchao(made.config, made.stored, here=self.here)
        return Looked(made.config, tuple(lines), made.unknown)


def _is_known(card: "ModelCard", *, fetch: bool) -> bool:
    """Whether a model's configuration is here or can be had; of what cannot, the run says so by itself."""
    from ...models.files.source import configured

    if card.config is not None:
        return True
    with suppress(ModelError, UsageError):
        configured(card)
        return True
    with suppress(Exception):  # the client and the libraries beneath it raise many kinds
        return fetch and _fetch_config(card)
    return False


def _fetch_config(card: "ModelCard") -> bool:
    """Fetch what a model's memory is counted by, some kilobytes, and say so; whether there is such."""
    from huggingface_hub import snapshot_download

    from ...data.hub import quiet_client
    from ...models.files.source import configured

    with quiet_client():
        snapshot_download(card.source, revision=card.revision, allow_patterns=list(CONFIGS))
    configured(card)
    typer.echo(f"{card.name}: fetched its configuration (some KB), to count what it takes", err=True)
    return True


def _machine(
    config: "RunConfig", looked: "dict[str, ModelCard]", processes: int, gpu_memory: float | None, *, here: bool
) -> "Machine":
    """What to count for."""
    from ...engine.memory.machine import cpu_machine, gpu_machine, gpus_here

    large = [name for name, card in looked.items() if card.scale == "large"]
    there = gpus_here(config.device)
    if there or (config.device != "cpu" and gpu_memory and not here):
        return gpu_machine(processes, gpu_memory, config.device)
    if config.device == "cpu" or not large:
        return cpu_machine(looked, processes)
    if here:
        raise UsageError(
            f"{', '.join(large)}: there is no GPU here, and this takes one: --device cpu computes it all the same, for "
            "days; --dry-run --gpu-memory 80 says what a GPU of 80 GB would do"
        )
    return gpu_machine(processes, 80.0, config.device)


def _check_torchao(config: "RunConfig", stored: Collection[str], *, here: bool) -> None:
    """Raise `UsageError` where 8-bit states are wanted, but of a ``stored`` base, and torchao is not installed."""
    from importlib.util import find_spec

    settings = [config.settings, *(own for name, own in config.of_model.items() if name not in stored)]
    wanted = any("adamw-8bit" in own.get("optimiser", ()) for each in settings for own in each.values())
    if wanted and here and find_spec("torchao") is None:
        raise UsageError(
            "8-bit states need torchao, which is not installed: pip install 'unlearnbench[torchao]', or choose --base "
            "offload or --base lora"
        )
