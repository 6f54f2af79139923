"""Whether a model is still what it was: a checksum of every weight, and all that may hang on its modules.

What a plug-in did to a model in place is found so, at the cost of reading the weights once, where they are: nothing is
kept of them but a number each.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...runtime import distributed
from .vlm import VLM

CHUNK = 1 << 18
"""Words of 64 bits that are looked at together: as many as stay in a CPU's cache."""

_OF_TRAINING = ("training", "gradient_checkpointing", "max_seq_len_cached")
"""Values of modules that training or a long input may change, and answers do not rest on."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_ODD = 0x9E3779B97F4A7C15 - 2**64  # the golden ratio's bits: neighbours get factors that have nothing in common


@dataclass(frozen=True)
class Imprint:
    """A model at one moment: each weight's type, shape and checksum; modules' classes, hooks and values; settings."""

    weights: dict[str, tuple[torch.dtype, torch.Size, int]]
    modules: dict[str, type]
    hooks: dict[str, tuple[Any, ...]]
    values: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    @classmethod
    def of(cls, model: VLM) -> "Imprint":
        """The model as it is now."""
        return cls(
            {name: (tensor.dtype, tensor.shape, checksum(tensor)) for name, tensor in _tensors(model.model)},
            {name: type(module) for name, module in model.model.named_modules()},
            {name: _hooks(module) for name, module in model.model.named_modules()},
            {name: _values(module) for name, module in model.model.named_modules()},
            _settings(model),
        )

    def changes(self, model: VLM) -> list[str]:
        """The names of what is no longer as it was; to be asked by all processes, where weights may be cut up."""
        weights, modules = dict(_tensors(model.model)), dict[str, nn.Module](model.model.named_modules())
        found = [name for name, tensor in weights.items() if not self._is_as_it_was(name, tensor)]
        found += [name for name in self.weights if name not in weights]
        for name, module in modules.items():
            kind = self.modules.get(name, type(None))
            # A module that FSDP has cut up is of a class made from its own, and has FSDP's hooks.
            cut = type(module).__name__ == f"FSDP{kind.__name__}"
            if not isinstance(module, kind) or not (cut or _hooks(module) == self.hooks[name]):
                found.append(name or type(module).__name__)
            elif other := [each for each, value in self.values[name].items() if vars(module).get(each, value) != value]:
                found.append(f"{name}.{other[0]}" if name else other[0])
        found += [name for name in self.modules if name not in modules]
        found += [name for name, value in _settings(model).items() if value != self.settings[name]]
        return found

    def _is_as_it_was(self, name: str, tensor: Tensor) -> bool:
        whole = distributed.full(tensor)
        return name in self.weights and self.holds({name: whole})

    def holds(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether these are the values that the model's weights of these names had, in the precision that they had."""
        return all(
            name in self.weights
            and tensor.shape == self.weights[name][1]
            and checksum(tensor.to(self.weights[name][0])) == self.weights[name][2]
            for name, tensor in tensors.items()
        )


@torch.no_grad()
def checksum(tensor: Tensor) -> int:
    """A number of 64 bits that depends on every bit of a tensor and on its place, whatever the device."""
    if tensor.is_meta or not tensor.numel():
        return 0
    flat = tensor.detach().contiguous().view(-1)
    octets = flat.as_strided(flat.shape, (1,)).view(torch.uint8)  # a single number's stride may be any
    whole = len(octets) // 8 * 8
    aligned = octets[:whole] if octets.storage_offset() % 8 == 0 else octets[:whole].clone()
    words = aligned.view(torch.int64)
    if whole < len(octets):
        words = torch.cat([words, octets[whole:].long()])
    factors = (torch.arange(min(CHUNK, len(words)), device=words.device) * 2 + 1) * _ODD
    total = torch.zeros((), dtype=torch.int64, device=words.device)
    for part in torch.split(words, CHUNK):
        mixed = part * _ODD
        mixed ^= mixed >> 31  # else two numbers that change places could go unseen
        total = total * _ODD + (mixed * factors[: len(part)]).sum()
    return int(total)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, but for those that a rotary embedding computes anew for longer inputs."""
    yield from ((name, parameter.detach()) for name, parameter in model.named_parameters())
    computed = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if _grows(module)
        for name in module._non_persistent_buffers_set
    }
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name not in computed)


def _grows(module: nn.Module) -> bool:
    kind = getattr(module, "rope_type", None)
    return kind is not None and kind not in ("default", "llama3", "linear", "yarn", "proportional")


def _hooks(module: Any) -> tuple[Any, ...]:
    """What runs beside or instead of the module's own computation."""
    own = vars(module).get("forward")
    hooks = (tuple(key for key, hook in getattr(module, kind).items() if not _watches(hook)) for kind in _HOOKS)
    return (*hooks, id(own) if own else None)


def _watches(hook: Any) -> bool:
    """Whether a hook is one of those that `transformers` hangs on at the first forward pass, to collect outputs."""
    return getattr(hook, "__module__", None) == "transformers.utils.output_capturing"


def _values(module: nn.Module) -> dict[str, Any]:
    """Numbers and text by which a module computes: an epsilon, a scale. Whether it trains is not among them."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, (bool, int, float, str)) and not name.startswith("_") and name not in _OF_TRAINING
    }


def _settings(model: VLM) -> dict[str, Any]:
    """What else decides answers: configurations, templates, an edit of visual tokens, methods that were replaced."""
    generation = getattr(model.model, "generation_config", None)
    replaced = {name: id(value) for name, value in vars(model).items() if callable(getattr(type(model), name, None))}
    config = (
        json.dumps(model.model.config.to_dict(), default=str, sort_keys=True) if hasattr(model.model, "config") else ""
    )
    templates = [getattr(each, "chat_template", None) for each in (model.processor, model.tokenizer)]
    return {
        "config": config.replace('"use_cache": false', '"use_cache": true'),  # of speed alone, and trainings change it
        "chat_template": templates,
        "tokenizer": [len(model.tokenizer), model.tokenizer.padding_side, model.tokenizer.truncation_side],
        "generation_config": json.dumps(generation.to_dict(), default=str, sort_keys=True) if generation else "",
        "visual_edit": id(model.visual_edit) if model.visual_edit else None,
        "methods of the model": replaced,
    }
