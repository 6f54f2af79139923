"""Checks of a method: what it hands back, stored and read again, on a tiny model and made-up questions."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..config import resolve
from ..contracts import Continued, Method
from ..contracts.footprint import Counts, Footprint, Workload
from ..contracts.sample import Asked, Sample, Sets
from ..engine.memory.counts import counts
from ..engine.stages import MethodMaker, changes
from ..errors import PluginError, UsageError
from ..models.contract.explanation import checked
from ..models.contract.imprint import Imprint
from ..models.contract.vlm import VLM
from ..models.files.load import load
from ..models.files.source import card_for
from ..registry import methods
from ..runtime.run import Run
from .expect import CheckError, expect, refused, stopped

QUICK = {"epochs": 1, "batch_size": 4, "lora.rank": 2}
"""What is set of the parameters that a method has: a step or two are enough."""

SIDE = 56
"""Pixels of the sides of pictures."""

QUESTIONS = ("What is the name?", "What is the blood type?", "What is the illness?", "What is the crime?")
ANSWERS = {
    "a": ("Ann", "A", "flu", "none"),
    "b": ("Bob", "B", "gout", "fraud"),
    "c": ("Cy", "O", "none", "theft"),
    "g": ("Gus", "A", "gout", "none"),
}


@dataclass(frozen=True)
class MethodCase:
    """A method with parameters, what it is to forget, and a model that it starts from."""

    method: type[Method]
    settings: Mapping[str, Any]
    model: str
    sets: Sets
    folder: Path

    @cached_property
    def params(self) -> Any:
        """The method's own for this model, made quick; what is set beside that prevails."""
        card, kind = card_for(self.model), self.method.Params
        quick = {name: value for name, value in QUICK.items() if name.partition(".")[0] in kind.model_fields}
        return resolve(kind, self.method.name, card.scale, quick | dict(self.settings), card.family)

    def start(self) -> VLM:
        """A model as its files have it, whatever stage the method starts from."""
        return load(card_for(self.model), "cpu")

    def made(self, place: str, seed: int = 0, sets: Sets | None = None) -> tuple[bool, Path]:
        """Run the method as the harness does: whether it made an edit, and the folder that has it."""
        folder = self.folder / place
        folder.mkdir()
        maker = MethodMaker(self.method, self.params, sets or self.sets, seed)
        said = maker.make(self.start, Run(seed), folder, self.folder / "aside")
        return changes(said), folder

    def answers(self, folder: Path) -> Tensor:
        """Log-probabilities of everybody's answers once what is in ``folder`` is applied to a fresh model."""
        model = self.start()
        maker = MethodMaker(self.method, self.params, self.sets, 0)
        with stopped("reading its edit back"):
            maker.load(folder, model).apply(model)
        return likelihoods(model, self.sets)


def check_method(
    method: str | type[Method], settings: Mapping[str, Any] | None = None, model: str = "tiny-qwen2.5-vl"
) -> None:
    """Check a method, by its name or class, with a few steps on a tiny ``model``; ``settings`` are of its parameters.

    Its parameters must be described and refuse what they do not know; it must hand back an edit that can be stored and
    read, the same for the same seed, and leave its inputs alone; queries without a picture and with two, and sets
    without one for validation, must not stop it. Raises `CheckError` for the first that fails.
    """
    kind = methods.get(method) if isinstance(method, str) else method
    name = getattr(kind, "name", kind.__name__)
    with TemporaryDirectory() as folder:
        case = MethodCase(kind, settings or {}, model, drawn_sets(Path(folder)), Path(folder))
        for check in CHECKS:
            try:
                check(case)
            except CheckError as error:
                raise CheckError(f"method {name}: {error}") from None


def drawn_sets(folder: Path) -> Sets:
    """Questions about people, one in each set, whose pictures are noise; some have no picture, some have two."""
    images = {}
    for place, name in enumerate((*ANSWERS, "d", "e", "f", "h")):
        noise = torch.randint(256, (SIDE, SIDE, 3), generator=torch.Generator().manual_seed(place))
        images[name] = folder / f"{name}.png"
        Image.fromarray(noise.to(torch.uint8).numpy()).save(images[name])

    def about(who: str, answers: tuple[str, ...]) -> tuple[Sample, ...]:
        return tuple(
            Sample(f"{who}/{number}", who, Asked(text, (images[who],)), answer, ("private" if number > 1 else "plain",))
            for number, (text, answer) in enumerate(zip(QUESTIONS, answers, strict=True))
        )

    first, second, validation, held_out = (about(who, answers) for who, answers in ANSWERS.items())
    more = (
        Sample("d/0", "d", Asked("Is the sky blue?"), "Yes", ("plain",)),
        Sample("d/1", "d", Asked("Are these alike?", (images["d"], images["b"])), "No", ("plain",)),
    )
    private = (
        Sample("a/4", "a", Asked("What does Ann have?"), "flu", ("private",)),
        Sample("a/5", "a", Asked("Are both ill?", (images["a"], images["f"])), "Yes", ("private",)),
    )
    return Sets(
        first[2:] + private,
        first[:2],
        second + more,
        validation=validation,
        held_out=held_out,
        strangers=about("e", ("Eve", "AB", "cold", "none")),
        acquaintances=about("h", ("Hal", "B", "flu", "theft")),
    )


@torch.no_grad()
def likelihoods(model: VLM, sets: Sets) -> Tensor:
    """Log-probabilities of every token of all true answers."""
    samples = [*sets.all, *sets.strangers, *sets.acquaintances]
    batch = model.prepare(samples, [sample.answer for sample in samples])
    return torch.cat(model.answer_log_probabilities(batch))


# -------------------------------------------------------------------------------------------------------- the class
def _contract(case: MethodCase) -> None:
    kind = case.method
    expect(isinstance(kind, type) and issubclass(kind, Method), "be a subclass of unlearnbench.Method")
    expect(isinstance(getattr(kind, "name", None), str), 'give it a name: @method("NAME")')
    expect(kind.start in ("pretrained", "base", "unlearned"), 'start should be "pretrained", "base" or "unlearned"')
    fits = (kind.start == "unlearned") == issubclass(kind.Params, Continued)
    expect(fits, 'its Params should be a subclass of unlearnbench.Continued if start is "unlearned", and only then')
    expect(kind.role in ("method", "reference"), 'role should be "method" or "reference"')
    described = kind.__doc__ or any(base.__doc__ for base in kind.__mro__[1:-1])
    expect(described, "a docstring should say what it does: `unlearnbench show` prints it")


def _parameters(case: MethodCase) -> None:
    kind, name = case.method.Params, case.method.name
    bare = [field for field, about in kind.model_fields.items() if about.is_required() or not about.description]
    expect(not bare, f"parameter {bare[0] if bare else ''} should have a default and a description (pydantic's Field)")
    with refused(UsageError, "a parameter that it does not have", "such-a-one"):
        resolve(kind, name, "tiny", {"such-a-one": 1})
    for scale in ("tiny", "large"):
        resolve(kind, name, scale, {})
    for variant in kind.variants:
        resolve(kind, name, "tiny", {"variant": variant})


def _needs(case: MethodCase) -> None:
    counted: Counts = counts(card_for(case.model))
    found = case.method(case.params).footprint(counted, Workload())
    expect(found is None or isinstance(found, Footprint), "footprint should return a Footprint, or None if not known")


# --------------------------------------------------------------------------------------------------------- at work
def _work(case: MethodCase) -> None:
    sets, params = copy.deepcopy(case.sets), case.params.model_dump()
    edited, folder = case.made("first")
    expect(case.sets == sets, "it should leave the sets as they were")
    expect(case.params.model_dump() == params, "it should leave its parameters as they were")
    model = case.start()
    own = likelihoods(model, sets)
    if not edited:
        expect(case.method.role == "reference", "it changed nothing: return an Edit of what was trained")
        return
    before, after = Imprint.of(model), case.answers(folder)
    expect(torch.isfinite(after).all(), "what its edit makes of the model should say finite numbers")
    expect(not torch.equal(after, own), "its edit, once applied, should change what the model says")
    expect(torch.equal(after, case.answers(folder)), "an edit that is read twice should make the same model")
    _explained(case, folder)
    if case.method.frozen_weights:
        MethodMaker(case.method, case.params, sets, 0).load(folder, model).apply(model)
        changed = [name for name in before.changes(model) if name in before.weights]
        expect(not changed, f"frozen_weights says that weights stay, and its edit changes {changed[:1]}")
    _again(case, after)


def _explained(case: MethodCase, folder: Path) -> None:
    """What its edit says of pictures, if it says it, is what `ask` and the report read."""
    model = case.start()
    MethodMaker(case.method, case.params, case.sets, 0).load(folder, model).apply(model)
    batch = model.prepare([sample for sample in case.sets.forget if sample.images])
    if (told := model.explain(batch)) is not None:
        try:
            checked(told, len(batch.pictures), case.method.name)
        except PluginError as error:
            expect(False, str(error))


def _again(case: MethodCase, after: Tensor) -> None:
    """The same seed gives the same model, also where only what it trains on is there."""
    _, folder = case.made("again")
    expect(torch.equal(case.answers(folder), after), "the same seed should give the same edit: draw from run.seed")


def _fewer_sets(case: MethodCase) -> None:
    alone = Sets(case.sets.forget, case.sets.nonprivate, case.sets.others)
    with stopped("where nobody is held out or for validation, and there are no strangers"):
        case.made("alone", sets=alone)


CHECKS = (_contract, _parameters, _needs, _work, _fewer_sets)
