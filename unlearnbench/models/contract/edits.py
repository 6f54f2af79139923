"""What a method changed of a model: small enough to store, enough to make the change again.

A method returns an `Edit`; the engine saves it, and later loads and applies it to a fresh copy of the model it
started from. So what is evaluated is what was stored.
"""

import json
import math
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import StoreError, UsageError
from .vlm import VLM

if TYPE_CHECKING:
    from .imprint import Imprint


PEFT_SETTINGS = "adapter_config.json"
"""What PEFT calls an adapter's settings, and looks for."""


@dataclass(frozen=True)
class Beside:
    """What runs an edit beside a model's weights by `transformers` alone, for a folder that it loads.

    ``code`` is the text of Python files by name, ``tensors`` are weights by their names in the class that is written
    there, and ``config`` is what ``config.json`` says besides or otherwise: its ``auto_map`` names the class, and its
    ``model_type`` is one of its own, so that nothing loads the model without the edit by mistake. Nor do classes of
    `transformers` that somebody names, which ask for no ``variant`` of the files of weights and so find none; the
    class written there does.
    """

    code: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]
    variant: str


class Alteration(ABC):
    """A change of a model."""

    @abstractmethod
    def apply(self, model: VLM) -> None:
        """Make the change, in place."""

    def merge(self, model: VLM) -> None:
        """Make the change part of the model, for another to be made on top of it."""
        self.apply(model)

    def take_off(self, model: VLM) -> bool:
        """Undo `apply`, to the last bit, for another to be made instead; False where it cannot be, and nothing is."""
        return False

    def beside(self, model: VLM) -> Beside | None:
        """What runs it where `unlearnbench` is not; None where `merge` leaves all of it in the model's own weights.

        Asked of a ``model`` on which it is; raises `UsageError` for a change that cannot be run elsewhere.
        """
        return None


class Edit(Alteration):
    """A change that can be saved and loaded too."""

    trainable_parameters: int = 0

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the change into an existing, empty ``folder``; tensors as safetensors."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, model: VLM) -> Self:
        """Read back what `save` wrote."""

    def beside(self, model: VLM) -> Beside | None:
        """As of any alteration; an edit that is not `Trained` must say it."""
        raise UsageError(
            f"an edit of the class {type(self).__name__} cannot be exported: it does not say how it is run without "
            "unlearnbench; define its method beside (unlearnbench.Edit)"
        )

    def fault(self, start: "Imprint") -> str | None:
        """Why it could not be applied to the model that the method started from, and what to do; None where it can.

        Asked before it is saved.
        """
        return None


class Trained(Edit):
    """What training changed: `Weights` or an `Adapter`; `load` finds out which by the file that is there."""

    FILE: ClassVar[str]

    def beside(self, model: VLM) -> None:
        """Nothing: weights are all that it changes."""

    @classmethod
    def load(cls, folder: Path, model: VLM) -> "Trained":
        """Read back either kind."""
        if (kind := cls._kind_in(folder)) is None:
            raise StoreError(f"{folder} holds neither weights nor an adapter; remove it and run again")
        return kind.read(folder)

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder holds either kind, which can be read back whatever code made it."""
        return cls._kind_in(folder) is not None

    @staticmethod
    def _kind_in(folder: Path) -> "type[Trained] | None":
        return next((kind for kind in (Weights, Adapter) if (folder / kind.FILE).is_file()), None)

    @classmethod
    @abstractmethod
    def read(cls, folder: Path) -> "Trained":
        """Read back this kind."""


class Weights(Trained):
    """New values for some of a model's own parameters, by name."""

    FILE = "weights.safetensors"

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.trainable_parameters = sum(math.prod(getattr(each, "shape", ())) for each in tensors.values())

    @classmethod
    def of(cls, parameters: dict[str, nn.Parameter]) -> Self:
        """The present values of ``parameters``."""
        return cls({name: parameter.detach().clone() for name, parameter in parameters.items()})

    def fault(self, start: "Imprint") -> str | None:
        """Names that the model lacks, what is no tensor, other shapes, numbers that are not finite."""
        if strange := sorted(set(self.tensors) - set(start.weights)):
            return f"the model has no parameter {strange[0]!r}; take names as in model.language_parameters()"
        for name, tensor in self.tensors.items():
            if not isinstance(tensor, Tensor):
                return f"{name} is of the type {type(tensor).__name__}; give a torch.Tensor"
            shape = start.weights[name][1]
            if tensor.shape != shape:
                return f"{name} is {list(tensor.shape)} and the model's {list(shape)}; keep the shapes"
            if not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
                return f"{name} is not finite; training diverged: lower the learning rate"
        return None

    def save(self, folder: Path) -> None:  # noqa: D102
        save_file({name: tensor.contiguous().cpu() for name, tensor in self.tensors.items()}, folder / self.FILE)

    @classmethod
    def read(cls, folder: Path) -> "Weights":  # noqa: D102
        return cls(load_file(folder / cls.FILE))

    @torch.no_grad()
    def apply(self, model: VLM) -> None:  # noqa: D102
        own = dict(model.model.named_parameters())
        check_names("stored weights", self.tensors, own)
        for name, tensor in self.tensors.items():
            own[name].copy_(tensor)
        model.refresh(own[name] for name in self.tensors)


class Adapter(Trained):
    """A low-rank adapter in PEFT's own format, but for the name of its settings' file, which PEFT does not look for.

    PEFT loads any adapter onto any model of its shapes without a word, and these settings name the pretrained model,
    while most are trained on top of another: what lies in a store is to be exported before it is loaded elsewhere.
    Applied, it stays beside the weights: merged into half-precision weights it would be rounded, and what is evaluated
    would not be what was trained. Merged, for what is trained on top, it is added in float32 and the sum rounded once.
    """

    FILE = "adapter_model.safetensors"
    SETTINGS = "adapter.json"
    """In a store; ``adapter_config.json`` in stores of before, and wherever PEFT has written it."""

    def __init__(self, peft: Any = None, folder: Path | None = None, values: Sequence[Tensor] | None = None) -> None:
        """``values`` are of PEFT's trained parameters, in their order, as they were at some moment; None: as they are.

        Saved, an adapter of a moment is left in the PEFT model with these values.
        """
        self.peft, self.folder, self.values = peft, folder, values
        if peft is not None:
            self.trainable_parameters = sum(p.numel() for p in peft.parameters() if p.requires_grad)

    def fault(self, start: "Imprint") -> str | None:
        """No PEFT model, or one of another model; numbers that are not finite."""
        from peft import PeftModel

        if not isinstance(self.peft, PeftModel):
            return f"it holds a {type(self.peft).__name__}; give it what peft.get_peft_model(model.model, ...) returned"
        adapted = self.peft.get_base_model()
        if type(adapted) is not start.modules[""]:
            return f"it adapts a {type(adapted).__name__}, a part of the model; adapt model.model"
        self._put_back()
        for name, parameter in self.peft.named_parameters():
            if "lora_" in name and not bool(torch.isfinite(parameter).all()):
                return f"{name} is not finite; training diverged: lower the learning rate"
        return None

    @torch.no_grad()
    def _put_back(self) -> None:
        """Let the PEFT model be as it was at the moment that is meant."""
        if self.values is not None:
            trained = (parameter for parameter in self.peft.parameters() if parameter.requires_grad)
            for parameter, value in zip(trained, self.values, strict=True):
                parameter.copy_(value)

    def save(self, folder: Path) -> None:  # noqa: D102
        self._put_back()
        self.peft.save_pretrained(folder, save_embedding_layers=False)  # else PEFT asks the hub for the model's config
        (folder / PEFT_SETTINGS).rename(folder / self.SETTINGS)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's, which names the pretrained model as the base

    @classmethod
    def read(cls, folder: Path) -> "Adapter":  # noqa: D102
        return cls(folder=folder)

    def export(self, folder: Path, base: str, revision: str | None = None) -> None:
        """Write it into ``folder`` as PEFT writes adapters, with the folder or hub id of the model that it is on."""
        from peft import PeftConfig

        assert self.folder is not None  # it was read from there
        shutil.copyfile(self.folder / self.FILE, folder / self.FILE)
        about = PeftConfig.from_json_file(self._settings()) | {"base_model_name_or_path": base, "revision": revision}
        (folder / PEFT_SETTINGS).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _settings(self) -> Path:
        assert self.folder is not None
        return next(path for name in (self.SETTINGS, PEFT_SETTINGS) if (path := self.folder / name).is_file())

    def apply(self, model: VLM) -> None:  # noqa: D102
        self._put_into(model)

    def take_off(self, model: VLM) -> bool:
        """The layers that it is beside are as they were."""
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import ModulesToSaveWrapper

        network: nn.Module = model.model
        for name, layer in [*network.named_modules()]:
            if isinstance(layer, BaseTunerLayer | ModulesToSaveWrapper):
                own = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer.original_module
                network.set_submodule(name, own)
        _no_peft(model)
        return True

    def merge(self, model: VLM) -> None:  # noqa: D102
        self._put_into(model)
        absorb(model)

    def _put_into(self, model: VLM) -> None:
        from peft import PeftConfig, PeftModel

        own = {id(parameter) for parameter in model.model.parameters()}
        with quiet():
            config = PeftConfig.from_peft_type(**PeftConfig.from_json_file(self._settings()))
            PeftModel.from_pretrained(model.model, str(self.folder), config=config)
        model.model.eval().requires_grad_(False)
        model.refresh(parameter for parameter in model.model.parameters() if id(parameter) not in own)


@torch.no_grad()
def absorb(model: VLM, change: Callable[[str, Tensor], Tensor] = lambda name, total: total) -> None:
    """Make an adapter that is beside a model's weights, if there is one, part of them, one layer after the other.

    ``change`` gets the name of each adapted layer in the whole model and the sum [rows, columns], in float32; what it
    returns is rounded, once, to the precision of the model.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    network: nn.Module = model.model
    for name, layer in [*network.named_modules()]:
        if isinstance(layer, ModulesToSaveWrapper):
            trained = layer.unload_and_optionally_merge_module(merge=False, safe_merge=False, adapter_names=None)
            network.set_submodule(name, trained)
        elif isinstance(layer, BaseTunerLayer):
            own, precision = layer.get_base_layer(), layer.weight.dtype
            own.float()  # all layers at once would take twice the memory
            layer.merge(safe_merge=True)
            own.weight.copy_(change(name, own.weight))
            network.set_submodule(name, own.to(precision))
    _no_peft(model)


def _no_peft(model: VLM) -> None:
    """Let PEFT forget an adapter that is gone, and pictures what they were projected by."""
    if hasattr(model.model, "peft_config"):
        del model.model.peft_config
    model.refresh()


@contextmanager
def quiet() -> Iterator[None]:
    """Without PEFT's use of names that `transformers` is about to drop, which is no user's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise `StoreError` if ``given`` has a name that is not ``known``."""
    strange = sorted(set(given) - set(known))
    if strange:
        raise StoreError(f"{what} name {strange[0]!r}, which the model lacks; remove the artefact and run again")
