"""The network of a vision-language model: its parts and blocks by name, and the training of any of its weights."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from ...errors import UsageError

LANGUAGE, PROJECTOR, VISION = "language", "projector", "vision"
"""The parts of a model, and how names of their blocks begin."""


class Network(ABC):
    """What is inside a `VLM`: ``model`` is that of `transformers`, ``dtype`` the precision of its weights."""

    model: Any
    dtype: torch.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def width(self) -> int:
        """The language model's hidden size d."""
        return int(self.model.config.get_text_config().hidden_size)

    @abstractmethod
    def language_model(self) -> nn.Module:
        """The text decoder with its embeddings and output head left out."""

    @property
    @abstractmethod
    def attention_layers(self) -> tuple[int, ...]:
        """Numbers of the language model's layers in which text attends to visual tokens."""

    @abstractmethod
    def projector(self) -> nn.Module:
        """What maps the vision tower's features to visual tokens."""

    @abstractmethod
    def language_parameters(self) -> dict[str, nn.Parameter]:
        """Parameters of the language model, output head included, by their name in the whole model."""

    def projector_parameters(self) -> dict[str, nn.Parameter]:
        """Parameters of the projector, by their name in the whole model."""
        return named_within(self.model, self.projector())

    def language_linears(self) -> list[str]:
        """Names in the whole model of the linear layers in the language model's blocks: what an adapter may adapt."""
        return linears_within(self.model, self.language_model().layers)  # type: ignore[arg-type]

    def projector_linears(self) -> list[str]:
        """Names in the whole model of the projector's linear layers."""
        return linears_within(self.model, self.projector())

    def vision_tower(self) -> nn.Module:
        """What makes features of pixels; the projector may be a part of it."""
        return self.model.get_encoder(modality="image")  # type: ignore[no-any-return]

    def vision_parameters(self) -> dict[str, nn.Parameter]:
        """Parameters of the vision tower, the projector's left out, by their name in the whole model."""
        apart = self.projector_parameters()
        return {name: each for name, each in named_within(self.model, self.vision_tower()).items() if name not in apart}

    def blocks(self) -> dict[str, nn.Module]:
        """The modules of which the language model, the projector and the vision tower are stacks, in their order.

        They are called ``language.0`` and so on, ``projector`` (``projector.0`` and so on where there are several side
        by side), ``vision.0`` and so on.
        """
        return {
            **numbered(LANGUAGE, self.language_model().layers),  # type: ignore[arg-type]
            **of_projector(self.projector()),
            **numbered(VISION, stacked(self.vision_tower(), self.projector())),
        }

    @contextmanager
    def training(self, parameters: dict[str, nn.Parameter], *, widened: bool = True) -> Iterator[list[nn.Parameter]]:
        """Let exactly ``parameters`` receive gradients; at the end freeze them again and keep nothing of the old ones.

        Within, weights of a half-precision model are held in float32 and computed with in half precision: an update of
        1e-5 would be lost in the rounding of bfloat16. Not ``widened``, they keep their precision, for an optimiser
        that loses nothing by it.
        """
        for parameter in parameters.values():
            if widened:
                parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
        self.model.train()
        try:
            with self.autocast():
                yield list(parameters.values())
        finally:
            self.model.eval()
            for parameter in parameters.values():
                parameter.requires_grad_(False)
                parameter.grad = None
                if not isinstance(parameter.data, DTensor):  # a part of a weight keeps the precision it was cut in
                    parameter.data = parameter.data.to(self.dtype)
            self.refresh(parameters.values())

    def autocast(self) -> torch.autocast:
        """Compute in the model's own half precision what is held in float32; nothing for a model in float32.

        Without autocast's cache, which would go on computing with the weights of before the first step.
        """
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32, cache_enabled=False)

    def checkpoint_activations(self) -> None:
        """Hold few activations in training, at the price of computing them twice."""
        # Older versions of `transformers` have only the second name, newer ones warn of it.
        enable = (
            getattr(self.model, "activation_checkpointing_enable", None) or self.model.gradient_checkpointing_enable
        )
        enable()

    @abstractmethod
    def refresh(self, changed: Iterable[nn.Parameter] = ()) -> None:
        """To be called when weights have changed, ``changed`` among others: nothing that rests on old ones is kept."""


def named_within(model: nn.Module, part: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of ``part`` by their names in ``model``."""
    inside = {id(parameter) for parameter in part.parameters()}
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in inside}


def linears_within(model: nn.Module, part: nn.Module) -> list[str]:
    """The names in ``model`` of the linear layers in ``part``."""
    inside = {id(module) for module in part.modules() if isinstance(module, nn.Linear)}
    return [name for name, module in model.named_modules() if id(module) in inside]


def numbered(part: str, modules: Iterable[nn.Module]) -> dict[str, nn.Module]:
    """``modules`` by the names of blocks of a ``part``."""
    return {f"{part}.{number}": module for number, module in enumerate(modules)}


def of_projector(projector: nn.Module) -> dict[str, nn.Module]:
    """The projector as one block, or, where it is several side by side, as one each."""
    if isinstance(projector, nn.ModuleList):
        return numbered(PROJECTOR, projector)
    return {PROJECTOR: projector}


def stacked(tower: nn.Module, apart: nn.Module) -> list[nn.Module]:
    """The blocks of a vision tower in order: what its lists of modules hold, but for what belongs to ``apart``."""
    within = {id(module) for module in apart.modules()}
    found, inside = list[nn.Module](), set[int]()
    for module in tower.modules():
        if isinstance(module, nn.ModuleList) and id(module) not in inside:
            inside |= {id(part) for part in module.modules()}
            found += [block for block in module if id(block) not in within]
    return found


def blocks_called(blocks: dict[str, nn.Module], names: Sequence[str]) -> dict[str, nn.Module]:
    """Those of ``names``; raises `UsageError` for a name that is none."""
    for name in names:
        if name not in blocks:
            parts = dict.fromkeys(known.partition(".")[0] for known in blocks)
            ranges = (_range([known for known in blocks if known.partition(".")[0] == part]) for part in parts)
            raise UsageError(f"the model has no block {name!r}; its blocks are {', '.join(ranges)}")
    return {name: blocks[name] for name in names}


def _range(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
