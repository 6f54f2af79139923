"""Checks of an attack: what it makes of a tiny model, what it asks, and what it makes of the answers."""

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from PIL.Image import Image

from ..config import resolve
from ..contracts import Attack, AttackParams, Evaluation, Task, TaskData
from ..contracts.attack import AS_IT_IS, Access, Asking, Records
from ..contracts.footprint import Footprint, Workload
from ..contracts.sample import Query, Sample, Sets
from ..engine.handed import VARIANT
from ..engine.keys import digest
from ..engine.memory.counts import counts
from ..engine.stages import AttackMaker, part
from ..errors import UsageError
from ..metrics.measure import by_question, measure_sets
from ..metrics.statistics import MetricValue
from ..models.asking.requests import Ask, Weigh, WeighTokens, ask
from ..models.contract.gates import held
from ..models.contract.imprint import Imprint
from ..models.contract.vlm import VLM, hearing
from ..models.files.load import load
from ..models.files.source import card_for
from ..registry import attacks
from ..runtime.plain import Plain
from ..runtime.run import Run
from .expect import CheckError, expect, refused, stopped
from .method import QUICK, drawn_sets, likelihoods

METRICS = ("rouge_l", "probability")
"""What the made-up task measures."""


class AskedOutright(Task):
    """A task without data: it asks whatever samples an attack gives it."""

    name = "check-attack"
    provides_sets = True
    metric_sets = ("forget", "retain")

    def load(self, source: str, forget: int | str | None, seed: int = 0) -> TaskData:
        """There is nothing to load."""
        raise UsageError("the made-up task of check_attack has no data")

    def answers(
        self, model: VLM, asked: Mapping[str, Sequence[Sample]], data: Any, run: Run, how: Asking
    ) -> list[dict[str, Any]]:
        """An answer and the likelihood of the true one, with its tokens' facts where they are asked for."""
        named = [(name, sample) for name, own in asked.items() for sample in own]
        spoken = named if how.answers else []
        asked_for = [*enumerate(how.rules)]
        said = ask(model, [Ask((s.id, name, at), how.of(s), 4, by) for name, s in spoken for at, by in asked_for], run)
        weighed = ask(model, [Weigh((s.id, name), how.of(s), s.answer) for name, s in named], run)
        wanted = named if how.tokens else []
        told = ask(model, [WeighTokens((s.id, name), how.of(s), s.answer) for name, s in wanted], run)
        return [
            {
                "id": sample.id,
                "set": name,
                "cluster": sample.cluster,
                "question": sample.text,
                "answer": sample.answer,
                "keywords": [sample.answer],
                "prediction": said.get((sample.id, name, 0), ""),
                "logprobs": weighed[sample.id, name],
                **({"tokens": told[sample.id, name]} if how.tokens else {}),
                **({"draws": [said[sample.id, name, at] for at, _ in asked_for]} if how.draws else {}),
            }
            for name, sample in named
        ]

    def measured(self, records: Sequence[Any]) -> Evaluation:
        """By set."""
        wanted = dict.fromkeys(self.metric_sets, METRICS)
        return Evaluation([*records], measure_sets(self, records, wanted))

    def by_question(self, records: Sequence[Any]) -> dict[str, dict[str, list[float]]]:
        """Of the forget set."""
        return by_question(self.views(records)["forget"], METRICS)

    def evaluate(self, model: VLM, data: Any, run: Run) -> Evaluation:
        """There is nothing to ask."""
        raise UsageError("the made-up task of check_attack asks nothing by itself")


@dataclass(frozen=True)
class AttackCase:
    """An attack with parameters, people, and a model to attack."""

    attack: type[Attack]
    settings: Mapping[str, Any]
    model: str
    sets: Sets
    folder: Path

    @cached_property
    def task(self) -> Task:
        """A task that asks what it is given."""
        return AskedOutright(AskedOutright.Options())

    @cached_property
    def made(self) -> Attack:
        """The attack on this model, made quick; what is set beside that prevails."""
        card, kind = card_for(self.model), self.attack.Params
        quick = {name: value for name, value in QUICK.items() if name.partition(".")[0] in kind.model_fields}
        return self.attack(resolve(kind, self.attack.name, card.scale, quick | dict(self.settings), card.family))

    def start(self) -> VLM:
        """A model as its files have it."""
        return load(card_for(self.model), "cpu")

    def changed(self, place: str) -> dict[str, VLM]:
        """The attacked models by their variants, stored and read again."""
        folder = self.folder / place
        folder.mkdir()
        maker = AttackMaker(self.made, self.sets, 0)
        said = maker.make(self.start, Run(0), folder, self.folder / "aside")
        found = {}
        for number, name in enumerate(said["variants"]):
            model = self.start()
            with stopped("reading its edit back"):
                maker.load(folder / part(number), model).apply(model)
            found[name] = model
        return found

    def asked(self, model: VLM, variant: str = "") -> Records:
        """What it asks a model."""
        run = Run(0)
        return self.made.ask(model, CheckTarget(self, variant, run), run)


@dataclass(frozen=True)
class CheckTarget:
    """The target of a check."""

    case: AttackCase
    variant: str
    run: Run

    @property
    def sets(self) -> Sets:
        """All of them."""
        return self.case.sets

    @property
    def victims(self) -> tuple[Sample, ...]:
        """As the attack names them."""
        return self.case.made.victims(self.case.sets)

    @property
    def utility(self) -> tuple[Sample, ...]:
        """What is to be retained."""
        return self.case.sets.retain

    def records(
        self, model: VLM, asked: Mapping[str, Sequence[Sample]], how: Asking = AS_IT_IS
    ) -> list[dict[str, Any]]:
        """As the made-up task answers."""
        with held(model, how.gate):
            return self.case.task.answers(model, asked, None, self.run, how)

    @property
    def task(self) -> Task:
        """The made-up one."""
        return self.case.task

    @property
    def cost(self) -> Mapping[str, Any]:
        """Nothing was trained."""
        return {"train_seconds": 0.0}

    def picture(self, recipe: object, make: Callable[[], Image]) -> Path:
        """In the check's folder."""
        path = self.case.folder / f"{digest(recipe)[:32]}.png"
        if not path.is_file():
            make().save(path)
        return path

    def other_views(self, samples: Iterable[Sample]) -> Mapping[str, Query]:
        """There are none."""
        return {}

    def scenes(self) -> Mapping[str, Sequence[Path]]:
        """There are none."""
        return {}

    def beside(self, name: str) -> VLM:
        """The model as it came, which stands for any other of a chain."""
        expect(name in self.case.attack.needs, f"it looks at the {name} model: name it in its needs")
        return self.case.start()


def check_attack(
    attack: str | type[Attack], settings: Mapping[str, Any] | None = None, model: str = "tiny-qwen2.5-vl"
) -> None:
    """Check an attack, by its name or class, with a few steps on a tiny ``model``; ``settings`` are of its parameters.

    It must say what it needs a hand on; ask nothing that it has trained on; make the same of a model with the same
    seed; leave its inputs, and in asking the model, as they came; give records with ids, and make of these alone what
    it measures. Raises `CheckError` for the first that fails.
    """
    kind = attacks.get(attack) if isinstance(attack, str) else attack
    name = getattr(kind, "name", kind.__name__)
    with TemporaryDirectory() as folder:
        case = AttackCase(kind, settings or {}, model, drawn_sets(Path(folder)), Path(folder))
        for check in CHECKS:
            try:
                check(case)
            except CheckError as error:
                raise CheckError(f"attack {name}: {error}") from None


def _contract(case: AttackCase) -> None:
    kind = case.attack
    expect(isinstance(kind, type) and issubclass(kind, Attack), "be a subclass of unlearnbench.Attack")
    expect(isinstance(getattr(kind, "name", None), str), 'give it a name: @attack("NAME")')
    expect(getattr(kind, "access", None) in get_args(Access), f"access should be one of {', '.join(get_args(Access))}")
    expect(issubclass(kind.Params, AttackParams), "its Params should be a subclass of unlearnbench.AttackParams")
    expect(kind.changes() or kind.ask is not Attack.ask, "it should define change, ask, or both")
    expect(kind.__doc__, "a docstring should say what it does: `unlearnbench show` prints it")
    bare = [name for name, about in kind.Params.model_fields.items() if about.is_required() or not about.description]
    expect(not bare, f"parameter {bare[0] if bare else ''} should have a default and a description (pydantic's Field)")
    with refused(UsageError, "a parameter that it does not have", "such-a-one"):
        resolve(kind.Params, kind.name, "tiny", {"such-a-one": 1})
    found = case.made.footprint(counts(card_for(case.model)), Workload())
    expect(found is None or isinstance(found, Footprint), "footprint should return a Footprint, or None if not known")


def _victims(case: AttackCase) -> None:
    victims = case.made.victims(case.sets)
    ids = {sample.id for sample in case.sets.forget}
    expect(victims, "victims should be some of the forget set")
    expect(all(sample.id in ids for sample in victims), "victims should be of the forget set")


def _change(case: AttackCase) -> None:
    if not case.attack.changes():
        return
    sets, victims = copy.deepcopy(case.sets), {sample.id for sample in case.made.victims(case.sets)}
    with hearing() as heard:
        first = case.changed("first")
    expect(case.sets == sets, "it should leave the sets as they were")
    trained = {query.id for batch in heard for query in batch if isinstance(query, Sample)}
    expect(not trained & victims, f"it should not look at what it asks about later: {sorted(trained & victims)[:1]}")
    again = case.changed("again")
    expect([*first] == [*again], "the same seed should give the same variants")
    for name, model in first.items():
        same = bool((likelihoods(model, sets) == likelihoods(again[name], sets)).all())
        expect(same, f"the same seed should give the same variant {name!r}: draw from run.seed")


def _ask(case: AttackCase) -> None:
    model = case.start()
    before = Imprint.of(model)
    with stopped("asking the model as it came"):
        found = case.asked(model)
    expect(not before.changes(model), "ask should leave the model as it came")
    expect(isinstance(found, Mapping) and found, 'ask should return records by variant, {"": records} for a single one')
    for name, records in found.items():
        expect(not name or VARIANT.fullmatch(name), f"a variant cannot be called {name!r}: letters, digits, spaces")
        _records(case, records)
    expect(_plain(case.asked(model)) == _plain(found), "asked again, it should find the same: draw from run.seed")


def _records(case: AttackCase, records: Any) -> None:
    expect(isinstance(records, list) and records, "a variant should have records")
    ids = [record.get("id") for record in records]
    expect(all(isinstance(each, str) for each in ids), "each record should have an id, a string")
    stored = json.loads(json.dumps(_plain(records)))
    metrics = case.made.measured(case.task, stored)
    expect(metrics, "measured should give metrics of the records")
    whole = all(isinstance(name, str) and isinstance(value, MetricValue) for name, value in metrics.items())
    expect(whole, "measured should give unlearnbench.MetricValue by names")
    values = case.made.values(case.task, stored)
    plain = all(isinstance(v, (int, float)) for of in values.values() for own in of.values() for v in own)
    expect(plain, "values should be numbers, by metric and by cluster")


def _plain(found: Any) -> Any:
    return Plain()(found, "records")


CHECKS = (_contract, _victims, _change, _ask)
