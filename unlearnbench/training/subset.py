"""Some of a model's weights by patterns on their names: those that a training trains."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn

from ..errors import UsageError
from ..models.contract.network import LANGUAGE, PROJECTOR, VISION, Network


def weights_called(model: Network, patterns: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters that any of ``patterns`` matches, by their names in the whole model and in its order.

    A pattern is a part (``language``, ``projector``, ``vision``), a block (``language.3``), a weight of a block by its
    name in it (``language.3.mlp.down_proj.weight``) or by that in the whole model; ``*`` stands for anything. Raises
    `UsageError` for a pattern that matches nothing.
    """
    known = names(model)
    found: set[str] = set()
    for pattern in patterns:
        own = {name for name, others in known.items() if any(fnmatchcase(each, pattern) for each in others)}
        if not own:
            some = [*model.blocks()]
            raise UsageError(
                f"weights: nothing in the model is called {pattern!r}; give a part (language, projector, vision), "
                f"a block ({some[0]}), or names of weights such as {next(iter(known))!r}, with * for anything"
            )
        found |= own
    return {name: parameter for name, parameter in model.model.named_parameters() if name in found}


def names(model: Network) -> dict[str, list[str]]:
    """Every parameter by its name in the whole model, with all that it goes by: that name, its part, its block."""
    parts = {
        LANGUAGE: model.language_parameters(),
        PROJECTOR: model.projector_parameters(),
        VISION: model.vision_parameters(),
    }
    known = {name: [name] for name, _ in model.model.named_parameters()}
    for part, own in parts.items():
        for name in own:
            known[name].append(part)
    whole = {id(parameter): name for name, parameter in model.model.named_parameters()}
    for block, name, parameter in _in_blocks(model):
        known[whole[id(parameter)]] += [block, f"{block}.{name}"]
    return known


def _in_blocks(model: Network) -> Iterator[tuple[str, str, nn.Parameter]]:
    for block, module in model.blocks().items():
        for name, parameter in module.named_parameters():
            yield block, name, parameter
