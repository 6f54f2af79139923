"""Models that were made elsewhere: bases of a user's own, and what methods of other code have left behind."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn, cast

from ...config import RunConfig
from ...contracts import Method
from ...contracts.footprint import NOTHING, Footprint
from ...errors import UsageError
from ...models.files.card import ModelCard
from ...models.files.check import ADAPTER
from ...models.files.elsewhere import Elsewhere, Typed, doubt, found, named
from ...registry import NAME, methods
from ...results.row import Row
from ...runtime.atomic import sha256_of
from ..keys import digest
from ..stages import BASE, PRETRAINED

if TYPE_CHECKING:
    from ...contracts.footprint import Counts, Workload
    from ...contracts.sample import Sets
    from ...models.contract.vlm import VLM
    from ...runtime.run import Run
    from .plans import Plan

EVALUATE, AS, BASE_MODEL = "evaluate", "--as", "--base-model"


class Evaluated(Method):
    """A method of other code, of which there is the model that it made: one class a name, and nobody runs it here."""

    version: ClassVar[str] = "elsewhere"

    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> NoReturn:
        """Nobody calls it: the model is there already."""
        raise NotImplementedError(f"{self.name} was run elsewhere")

    def footprint(self, model: "Counts", work: "Workload") -> Footprint:
        """Nothing is trained here."""
        return NOTHING


def evaluated(name: str, config: RunConfig) -> type[Method] | None:
    """The method of that name if its model was made elsewhere; None for one that is run here."""
    if name not in config.evaluated:
        return None
    start = PRETRAINED if config.alone else BASE
    return cast("type[Method]", type(name, (Evaluated,), {"name": name, "start": start}))


class Brought:
    """The models from elsewhere that a run names: words are checked at once, files when they are asked for.

    ``digest_of`` gives the digest of a folder's weights.
    """

    def __init__(self, config: RunConfig, digest_of: Callable[[Path], str], *, fetch: bool) -> None:
        self._digest_of, self._fetch = digest_of, fetch
        self._found: dict[str, Elsewhere] = {}
        self._base = self._named(config, BASE_MODEL, config.base_model) if config.base_model is not None else None
        self._methods = {name: self._named(config, EVALUATE, text) for name, text in config.evaluated.items()}
        for name in self._methods:
            _check_name(name, config)

    def cards(self) -> list[ModelCard]:
        """Of all of them, adapters too."""
        typed = [*([self._base] if self._base else ()), *self._methods.values()]
        return [card for each in typed for card in (each.model, each.adapter) if card]

    def base(self, like: ModelCard) -> Elsewhere | None:
        """The base, if it was made elsewhere."""
        return self._of(self._base, like) if self._base else None

    def method(self, name: str, like: ModelCard) -> Elsewhere | None:
        """What the method of that name has made, if it was made elsewhere."""
        return self._of(self._methods[name], like) if name in self._methods else None

    def _of(self, typed: Typed, like: ModelCard) -> Elsewhere:
        if typed.whole not in self._found:
            self._found[typed.whole] = digested(typed, like, self._digest_of, fetch=self._fetch)
        return self._found[typed.whole]

    @staticmethod
    def _named(config: RunConfig, option: str, text: str) -> Typed:
        if len(config.models) > 1:
            raise UsageError(
                f"{option} {text}: it was made from one model, and --model names {len(config.models)}: give one, and "
                "run once for each"
            )
        return named(option, text, config.models[0])


def digested(typed: Typed, like: ModelCard, digest_of: Callable[[Path], str], *, fetch: bool) -> Elsewhere:
    """A model from elsewhere, found, with the digest of all its weights."""
    folder, adapter = found(typed, like, fetch=fetch)
    content, said = digest_of(folder), ""
    if adapter:
        said = doubt(typed, folder, adapter, digest_of)
        content = digest([content, digest_of(adapter), sha256_of(adapter / ADAPTER)])
    return Elsewhere(typed.text, folder, adapter, content, typed.anywhere, said)


def namesakes(plans: Iterable["Plan"], rows: Iterable[Row]) -> Iterator[str]:
    """What to say of models from elsewhere whose name another has among the ``rows``, of the same people and seed."""
    there = [row for row in rows if row.status == "ok" and row.method.elsewhere]
    brought = {plan.method.name: (made, plan) for plan in plans if (made := plan.methods[-1].elsewhere)}
    for name, (made, plan) in brought.items():
        split, seed = plan.unlearning.split, plan.cell.seed
        alike = [row for row in there if (row.method.name, row.seed, row.task.split) == (name, seed, split)]
        models = {each.digest: each.source for row in alike if (each := row.method.elsewhere)}
        models.pop(made.digest, None)
        if models:
            yield (
                f"{AS} {name}: the results have another model of that name with seed {seed} "
                f"({', '.join(models.values())}): lines tell them apart by their digests; better give each its own name"
            )


def _check_name(name: str, config: RunConfig) -> None:
    """Raise `UsageError` for a name that is taken, or that no method can have."""
    if name in methods:
        raise UsageError(f"{AS} {name}: that is a method here; give the model from elsewhere a name of its own")
    if alike := next((each for each in methods.names() if _folded(each) == _folded(name)), None):
        raise UsageError(f"{AS} {name}: {alike} is a method here, for which it would be taken; give another name")
    if not NAME.fullmatch(name) or name in (BASE, *config.tasks):
        raise UsageError(f"{AS} {name}: a method's name has letters, digits, '.', '_' and '-', and is no task's")


def _folded(name: str) -> str:
    """A name without what readers overlook: capitals, and what stands between its parts."""
    return re.sub(r"[._-]", "", name.casefold())
