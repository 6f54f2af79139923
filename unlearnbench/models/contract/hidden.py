"""What blocks of a network give out, read in a forward pass with its gradients."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from ...errors import UsageError
from ..pictures.cache import Picture
from .attention import EnoughLayersError
from .batch import Batch
from .network import LANGUAGE

Positions = Literal["all", "question", "visual", "predicting", "answer"] | Tensor
"""Whose states are read: every token's of the prompt and its answer, the question's own, those that stand for pictures,
those from which the answer's tokens are predicted, the answer's; or those that a mask [B, L] marks."""


def mask(batch: Batch, positions: Positions) -> Tensor:
    """Which tokens [B, L] are meant; raises `UsageError` for a word or a shape that means none."""
    known = {
        "all": batch.attention_mask.bool(),
        "question": batch.question_mask,
        "visual": batch.image_mask,
        "predicting": batch.answer_mask.roll(-1, dims=1),
        "answer": batch.answer_mask,
    }
    if isinstance(positions, Tensor):
        if positions.shape != batch.input_ids.shape:
            raise UsageError(
                f"positions are {list(positions.shape)} and the batch {list(batch.input_ids.shape)}; give a mask of "
                "the batch's shape"
            )
        return positions.bool() & known["all"]
    if positions not in known:
        raise UsageError(f"positions {positions!r} are unknown; choose from {', '.join(known)}, or give a mask")
    return known[positions]


def divided(modules: Mapping[str, nn.Module], positions: Positions) -> tuple[dict[str, nn.Module], ...]:
    """Blocks that work on tokens and blocks that work on pictures; raises `UsageError` where these get no positions."""
    of_tokens = {name: module for name, module in modules.items() if name.partition(".")[0] == LANGUAGE}
    of_pictures = {name: module for name, module in modules.items() if name not in of_tokens}
    if of_pictures and not (isinstance(positions, str) and positions in ("all", "visual")):
        raise UsageError(
            f"{next(iter(of_pictures))} works on pictures and not on tokens; ask for positions all or visual"
        )
    return of_tokens, of_pictures


@contextmanager
def outputs(modules: Mapping[str, nn.Module], *, until: nn.Module | None = None) -> Iterator[dict[str, list[Tensor]]]:
    """The output of each of ``modules``, pass after pass, over the passes inside the block.

    The pass is broken off at ``until``, which is not entered. What is computed anew in a backward pass that comes after
    the block is not read again.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in modules}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            found[name].append(output if isinstance(output, Tensor) else output[0])

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    if until is not None:
        hooks.append(until.register_forward_pre_hook(_enough))
    try:
        yield found
    except EnoughLayersError:
        pass
    finally:
        for each in hooks:
            each.remove()


class Encodes(Protocol):
    """What a model does with a picture (`unlearnbench.models.contract.vlm.VLM`)."""

    def pixels(self, path: Path) -> Any:
        """Read and preprocess it."""

    def encode(self, preprocessed: Any) -> Picture:
        """Run the vision tower and the projector."""


def of_pictures(model: Encodes, batch: Batch, modules: Mapping[str, nn.Module]) -> dict[str, tuple[Tensor, ...]]:
    """What blocks of the tower and the projector give out: a tensor [tokens, width] for each picture of a batch."""
    found: dict[int, dict[str, list[Tensor]]] = {}
    for path, picture in zip(batch.images, batch.pictures, strict=True):
        if modules and id(picture) not in found:
            with outputs(modules) as read:
                model.encode(model.pixels(path))
            found[id(picture)] = read
    return {name: tuple(found[id(picture)][name][0].flatten(0, -2) for picture in batch.pictures) for name in modules}


@contextmanager
def replaced(modules: Mapping[str, nn.Module], states: Mapping[str, Tensor], marked: Tensor) -> Iterator[None]:
    """Let each of ``modules`` give out ``states`` [tokens, d] of its name at the places [B, L] that are ``marked``.

    Raises `UsageError` for one that no pass inside the block has entered.
    """
    passed: set[str] = set()

    def put(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            passed.add(name)
            whole = (output if isinstance(output, Tensor) else output[0]).clone()
            whole[marked] = states[name].to(whole)
            return whole if isinstance(output, Tensor) else (whole, *output[1:])

        return hook

    hooks = [module.register_forward_hook(put(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()
    refuse_skipped(name for name in modules if name not in passed)


def refuse_skipped(names: Iterable[str]) -> None:
    """Raise `UsageError` for a block that was passed by."""
    if (first := next(iter(names), None)) is not None:
        raise UsageError(f"{first} reads pictures and is passed by without any; ask for another block")


def _enough(module: nn.Module, args: Any) -> None:
    raise EnoughLayersError


def after(blocks: Sequence[nn.Module], wanted: Mapping[str, nn.Module]) -> nn.Module | None:
    """The first of ``blocks`` that comes after all that are ``wanted``; None if the last of them is wanted itself."""
    inside = {id(module) for module in wanted.values()}
    last = max(place for place, block in enumerate(blocks) if id(block) in inside)
    return blocks[last + 1] if last + 1 < len(blocks) else None
