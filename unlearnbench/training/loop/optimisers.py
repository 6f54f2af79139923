"""AdamW as a training wants it: all in float32, with 8-bit states, or with all but the model in the CPU's memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.adamw import adamw as one_update

from ...errors import UnlearnbenchError
from ..params import Optimiser

NO_TORCHAO = "optimiser=adamw-8bit needs torchao, which is not installed: pip install 'unlearnbench[torchao]'"


def optimiser_of(kind: Optimiser, groups: Sequence[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    """The optimiser of ``groups``, each with ``params`` and ``lr``; raises `UnlearnbenchError` where torchao lacks."""
    match kind:
        case "adamw":
            # On a GPU in one kernel, which holds no copy, as torch's own choice there holds the roots of all second
            # moments. On a CPU that would spare a hundredth of a step and change the last digits of every training.
            on_gpu = all(parameter.is_cuda for group in groups for parameter in group["params"])
            return torch.optim.AdamW(groups, weight_decay=weight_decay, fused=on_gpu or None)
        case "adamw-8bit":
            return _eight_bit(groups, weight_decay)
        case "adamw-offload":
            return Offloaded(groups, weight_decay)


class _Plain(torch.optim.Optimizer, ABC):
    """An optimiser whose state is put back as it was: torch's own way would bring it to its parameter's precision."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        owners = [parameter for group in self.param_groups for parameter in group["params"]]
        for place, values in state_dict["state"].items():
            self.state[owners[place]] = self._put_back(owners[place], values)
        for group, told in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for name, value in told.items():
                if name == "params":
                    continue
                if isinstance(group.get(name), Tensor):
                    group[name].fill_(value)
                else:
                    group[name] = value

    @abstractmethod
    def _put_back(self, parameter: Tensor, values: dict[str, Tensor]) -> dict[str, Any]:
        """The state of a parameter from what was stored of it."""


class Offloaded(_Plain):
    """AdamW on float32 copies of the weights in the CPU's memory; the model keeps its own precision where it is.

    torchao's optimiser for this takes gradients over while they are computed, before they are clipped and before a
    method had its say in them, and it needs a GPU: so this is ours. Weights go to and fro one tensor at a time.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], weight_decay: float) -> None:
        super().__init__([*groups], {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": weight_decay})
        self._between: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of all that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            weights = self._brought(parameter)
            state |= {"weights": weights, "step": torch.tensor(0.0)}
            state |= {name: torch.zeros_like(weights) for name in ("exp_avg", "exp_avg_sq")}
        one_update(
            [state["weights"]],
            [self._brought(cast("Tensor", parameter.grad))],
            [state["exp_avg"]],
            [state["exp_avg_sq"]],
            [],
            [state["step"]],
            fused=True,
            amsgrad=False,
            maximize=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
        )
        parameter.copy_(self._buffer(parameter).copy_(state["weights"]))

    def _brought(self, tensor: Tensor) -> Tensor:
        """A float32 copy of a tensor in the CPU's memory."""
        return self._buffer(tensor).copy_(tensor).to(torch.float32, copy=True)

    def _buffer(self, tensor: Tensor) -> Tensor:
        """Memory of the CPU of a tensor's size and precision, from and to which a GPU copies at full speed."""
        if self._between is None or self._between.dtype != tensor.dtype or self._between.numel() < tensor.numel():
            most = max(each.numel() for group in self.param_groups for each in group["params"])
            self._between = torch.empty(most, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        return self._between[: tensor.numel()].view(tensor.shape)

    def _put_back(self, parameter: Tensor, values: dict[str, Tensor]) -> dict[str, Any]:
        return dict(values)


def _eight_bit(groups: Sequence[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    """torchao's, in which what it writes down of itself can be kept as any optimiser's."""
    try:
        from torchao.optim import AdamW8bit
        from torchao.optim.subclass_8bit import OptimState8bit
    except ImportError:
        raise UnlearnbenchError(NO_TORCHAO) from None

    class EightBit(AdamW8bit, _Plain):  # type: ignore[misc]
        """Weights in the model's precision are rounded up or down by chance, so that small updates add up.

        Chance follows the number of steps alone: processes that work together stay alike, and a training that was
        interrupted goes on as it would have.
        """

        def _new_buffer(self, p: Tensor, signed: bool) -> Tensor:
            """States of small tensors are not of 8 bits: then they are float32, whatever the weights are."""
            made = cast("Tensor", super()._new_buffer(p, signed))
            return made if isinstance(made, OptimState8bit) else made.float()

        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            gpus = {p.device.index for group in self.param_groups for p in group["params"] if p.is_cuda}
            steps = max((int(state["step"]) for state in self.state.values()), default=0)
            # A CPU's machine may lack the compiler, and compiling takes longer than it spares.
            how = nullcontext() if gpus else torch.compiler.set_stance("force_eager")
            with torch.random.fork_rng(devices=[*gpus]), how:
                torch.manual_seed(steps)
                return super().step(closure)

        def state_dict(self) -> dict[str, Any]:
            found = super().state_dict()
            groups = [
                {k: v.item() if isinstance(v, Tensor) else v for k, v in g.items()} for g in found["param_groups"]
            ]
            return {"state": {place: _taken_apart(state) for place, state in found["state"].items()}} | {
                "param_groups": groups
            }

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            _Plain.load_state_dict(self, state_dict)

        def _put_back(self, parameter: Tensor, values: dict[str, Tensor]) -> dict[str, Any]:
            state: dict[str, Any] = {"step": values["step"]}
            for name in ("exp_avg", "exp_avg_sq"):
                if name in values:
                    state[name] = values[name].to(parameter.device)
                    continue
                state[name] = self._new_buffer(parameter, name == "exp_avg")
                for part in PARTS:
                    getattr(state[name], part).copy_(values[f"{name}.{part}"])
            return state

    made: Any = EightBit
    # A schedule starts from this number, which no rounding has changed: torchao makes tensors of the rates.
    begun = [{**group, "initial_lr": group["lr"]} for group in groups]
    return cast("torch.optim.Optimizer", made(begun, weight_decay=weight_decay, bf16_stochastic_round=True))


PARTS = ("codes", "scale")
"""What an 8-bit state is kept as; the rest of it is the same for all."""


def _taken_apart(state: dict[str, Any]) -> dict[str, Tensor]:
    """A parameter's state as plain tensors."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        whole = not hasattr(value, PARTS[0])
        found |= {name: value} if whole else {f"{name}.{part}": getattr(value, part) for part in PARTS}
    return found
