"""The parameters of a cell's methods and of its base, as set and by default, before anything is fetched."""

from typing import Any

from ...config import Cell, RunConfig, resolve
from ...contracts import Continued, Method, Params
from ...errors import PluginError, UsageError
from ...models.files.card import ModelCard
from ...registry import methods
from ...training.params import BaseParams, BroughtParams
from ..keys import canonical
from ..stages import BASE, PRETRAINED, UNLEARNED
from .brought import evaluated
from .plans import Chosen


def parameters(cell: Cell, card: ModelCard, config: RunConfig) -> tuple[tuple[Chosen, ...], BaseParams | BroughtParams]:
    """The methods' and the base's, as set and by default for this model; raises `UsageError`."""
    if kind := evaluated(cell.method, config):
        if own := cell.settings.get(cell.method):
            raise UsageError(f"--set {cell.method}.{next(iter(own))}: that model was made elsewhere: leave it out")
        return (Chosen(kind, Params()),), _base(cell, card, config)
    return _methods(cell, card), _base(cell, card, config)


def _base(cell: Cell, card: ModelCard, config: RunConfig) -> BaseParams | BroughtParams:
    own = cell.settings.get(BASE, {})
    if config.base_model is not None:
        if trained := [name for name in own if name in BaseParams.model_fields]:
            raise UsageError(
                f"--set base.{trained[0]}: nothing of the base is trained with --base-model {config.base_model}; "
                "leave one of the two out"
            )
        return resolve(BroughtParams, BASE, card.scale, own)
    if own.get("epochs") == 0:
        raise UsageError(
            "--set base.epochs=0: a base is finetuned for one epoch at least; give one that is finetuned already with "
            "--base-model MODEL[@ADAPTER]"
        )
    return resolve(BaseParams, BASE, card.scale, own, card.family)


def _methods(cell: Cell, card: ModelCard) -> tuple[Chosen, ...]:
    """The cell's method, and before it the one that it goes on with, if it does."""
    last = _chosen(cell.method, cell, card)
    if not isinstance(last.params, Continued):
        return (last,)
    if not last.params.method:
        raise UsageError(
            f"{cell.method} goes on with what another method has unlearned: say which, --set {cell.method}.method=NAME"
        )
    first = _chosen(last.params.method, cell, card)
    if first.method.start == UNLEARNED:
        raise UsageError(
            f"--set {cell.method}.method={first.method.name}: that one goes on with another's model itself; name a "
            "method that starts from the pretrained or the base model"
        )
    return first, last


def _chosen(name: str, cell: Cell, card: ModelCard) -> Chosen:
    method = methods.get(name)
    if method.start not in (PRETRAINED, BASE, UNLEARNED):
        raise PluginError(
            f"method {name!r}: its start is {method.start!r}; make it {PRETRAINED!r}, {BASE!r} or {UNLEARNED!r}"
        )
    if (method.start == UNLEARNED) != issubclass(method.Params, Continued):
        raise PluginError(
            f"method {name!r}: one whose start is {UNLEARNED!r}, and no other, has Params that are a subclass of "
            "unlearnbench.Continued, which name the method that it goes on with"
        )
    params = resolve(method.Params, name, card.scale, _own(method, cell), card.family)
    canonical(params, name)  # raises for one of a type that names no artefact
    return Chosen(method, params)


def _own(method: type[Method], cell: Cell) -> dict[str, Any]:
    """What the command set of a method; the ideal is trained as the base is, so what was set of that holds for it too.

    Trained otherwise it would be no ideal for what unlearns from that base.
    """
    own = cell.settings.get(method.name, {})
    if not (method.ideal and issubclass(method.Params, BaseParams)):
        return own
    of_base = cell.settings.get(BASE, {})
    return {name: of_base[name] for name in of_base if name.partition(".")[0] in BaseParams.model_fields} | own
