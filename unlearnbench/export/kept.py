"""A cell's model once more, from its row and the store: nothing is trained, fetched, or read of the data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..engine.artefacts import Artefact, Store
from ..engine.handed import edit_class_of
from ..engine.keys import digest, weights_digest
from ..engine.planning.brought import digested
from ..engine.planning.plans import id_of
from ..engine.provenance import package_version
from ..engine.stages import BASE, STAGES, Key, changes
from ..errors import ModelError, StoreError
from ..models.files.card import ModelCard
from ..models.files.elsewhere import Elsewhere, named
from ..models.files.source import card_for, folder_of, is_hub_id
from ..registry import methods, models, tasks
from ..results.row import MadeElsewhere, Row

if TYPE_CHECKING:
    from ..models.contract.edits import Alteration
    from ..models.contract.vlm import VLM


@dataclass(frozen=True)
class Link:
    """A stage that the cell's model has gone through, as it lies in the store."""

    name: str
    artefact: Artefact
    origin: Elsewhere | None = None
    """Where its model was made, if not here."""

    @property
    def changes(self) -> bool:
        """Whether it has made an edit."""
        return changes(self.artefact.manifest.metadata)

    def edit(self, model: "VLM") -> "Alteration":
        """What it has made of a model."""
        from ..models.contract.edits import Trained

        if self.origin:
            from ..models.files.replace import Replacement

            return Replacement(self.origin)
        if self.name == BASE:
            return Trained.load(self.artefact.folder, model)
        method = methods.get(self.artefact.manifest.key["method"]["name"])
        return edit_class_of(method).load(self.artefact.folder, model)


@dataclass(frozen=True)
class Kept:
    """A cell of which all stages are in the store; ``card`` is that of the pretrained model, whose files are there."""

    row: Row
    card: ModelCard
    folder: Path
    links: tuple[Link, ...]

    @cached_property
    def last(self) -> Link | None:
        """The stage that the cell's method has made, where that changed the model."""
        return self.links[-1] if self.links[-1].changes else None

    @property
    def before(self) -> tuple[Link, ...]:
        """The stages that the method started from and that changed the model, in their order."""
        return tuple(link for link in self.links[:-1] if link.changes)

    @property
    def from_hub(self) -> bool:
        """Whether the pretrained model is one of the hub."""
        return is_hub_id(self.card.source) and not Path(self.card.source).exists()

    @property
    def base_on_hub(self) -> bool:
        """Whether what the cell's method started from is a model of the hub as it is there."""
        return self.from_hub and not self.before

    def start(self, device: str | None) -> "tuple[VLM, list[Alteration]]":
        """The model that the cell's method started from, as precise as the cell had it, and the edits that made it."""
        from ..models.files.load import load

        here = self.card.model_copy(update={"source": str(self.folder)})
        model, edits = load(here, device, dtype=self.row.model.dtype), []
        for link in self.before:
            edits.append(link.edit(model))
            edits[-1].merge(model)
        return model, edits


def kept(row: Row, store: Store) -> Kept:
    """The model of a ``row``; raises `StoreError` where the store lacks it, or has what other code has made.

    Raises `ModelError` for a model that is not here, since anybody's row may name one, and for other weights.
    """
    card = _card(row)
    folder = _here(card, row)
    digest_of = partial(weights_digest, cache=store.root / "digests", remember=False)
    links = tuple(replace(link, origin=_origin(link.name, row, card, digest_of)) for link in _links(row, store))
    for link in links:
        _check_code(link, row)
    if row.model.weights_digest not in (None, digest_of(folder)):
        raise ModelError(
            f"model {row.model.name}: the weights at {card.source} are not those that cell {row.row_id} was computed "
            "with: bring these back"
        )
    return Kept(row, card, folder, links)


def _here(card: ModelCard, row: Row) -> Path:
    """The folder of a model that a row names; nothing is fetched, which is for its reader to decide."""
    try:
        return folder_of(card, fetch=False)[0]
    except ModelError as error:
        if not is_hub_id(card.source):
            raise
        revision = f" --revision {card.revision}" if card.revision else ""
        raise ModelError(
            f"cell {row.row_id} needs the model {card.source}, which is not here, and what a row names is not fetched "
            f"unasked: if you trust it, run 'hf download {card.source}{revision}' and then this again"
        ) from error


def _origin(stage: str, row: Row, card: ModelCard, digest_of: Callable[[Path], str]) -> Elsewhere | None:
    """The model from elsewhere that a stage has put in place, if it has."""
    base = row.base.get("elsewhere") if row.base else None
    told = (MadeElsewhere.model_validate(base) if base else None) if stage == BASE else row.method.elsewhere
    if told is None:
        return None
    typed = named(f"cell {row.row_id}:", told.source, row.model.name)
    for each in filter(None, (typed.model, typed.adapter)):
        _here(each, row)
    found = digested(typed, card, digest_of, fetch=False)
    if found.digest != told.digest:
        raise ModelError(f"{told.source} is not the model that cell {row.row_id} was computed with: bring that back")
    return found


def _card(row: Row) -> ModelCard:
    """The pretrained model's, at the revision that the cell was computed with."""
    card = card_for(row.model.name if row.model.name in models.names() else row.model.source)
    family = card.family or row.model.family
    return card.model_copy(update={"name": row.model.name, "revision": row.model.revision, "family": family})


def _check_code(link: Link, row: Row) -> None:
    """Raise `StoreError` where a method's edit was made by other code than would read it back; weights are weights."""
    if link.name == BASE or link.origin or not link.changes:
        return
    from ..models.contract.edits import Trained

    made = link.artefact.manifest.key["method"]
    now = {"version": methods.get(made["name"]).version, "code": methods.code(made["name"])}
    if now == {name: made.get(name) for name in now} or Trained.is_in(link.artefact.folder):
        return
    others = f"version {made['version']} and here is {now['version']}"
    if now["version"] == made["version"]:
        others = "another state of its file than is here"
    raise StoreError(
        f"cell {row.row_id} was made by {made['name']} in {others}: install what it was made with (unlearnbench "
        f"{row.environment.unlearnbench}, {row.method.origin}), or make it again: {' '.join(row.command)}"
    )


def _links(row: Row, store: Store) -> tuple[Link, ...]:
    """The stages of the row's cell, in their order: a key holds the digest of the one that it starts from."""
    asked = _asked(row)
    keys = [(each.kind, each.manifest.key) for each in store.stored() if each.kind in STAGES and each.manifest]
    last = ((name, key) for name, key in keys if id_of(key, asked, row.schema_version) == row.row_id)
    found = [next(last, None)]
    while found[0] and (start := found[0][1].get("start")):
        before = next(((name, key) for name, key in keys if digest(key) == start), None)
        if before is None:
            break
        found.insert(0, before)
    if len([each for each in found if each]) < 1 + (row.base is not None) + (row.method.continues is not None):
        raise _lacking(row, store)

    def unforeseen(folder: Path) -> dict[str, Any]:
        raise _lacking(row, store)

    return tuple(Link(name, store.get_or_make(name, key, unforeseen)) for name, key in filter(None, found))


def _asked(row: Row) -> Key:
    """The task as it was then, in the row's words; of its protocol what it says before anything is asked."""
    kind, told = tasks.get(row.task.name), row.task
    try:
        names = {*kind(kind.Options.model_validate(told.options)).protocol}
    except ValidationError:  # its options have become others
        names = {*told.protocol}
    return {
        "name": told.name,
        "version": told.version,
        "code": told.code,
        "options": told.options,
        "protocol": {name: value for name, value in told.protocol.items() if name in names},
        "data": told.data.fingerprint,
    }


def _lacking(row: Row, store: Store) -> StoreError:
    then, now = row.environment.unlearnbench, package_version()
    other = f" (it was made by unlearnbench {then}, and this is {now})" if then != now else ""
    return StoreError(
        f"{store.root} does not hold all of the model of cell {row.row_id} ({row.method.name}, seed {row.seed})"
        f"{other}: give the --store that it was made in, or make it again with another --results: "
        f"{' '.join(row.command)}"
    )
