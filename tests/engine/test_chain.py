"""Cells as chains of stages: what is shared, what is missing, who goes first, and how a model goes through them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from unlearnbench import Continued, Method, Params, method
from unlearnbench.cli.parts.grid import GridOptions
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import MANIFEST, Store
from unlearnbench.engine.executors.slurm import waves
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import Plan, plan
from unlearnbench.engine.runner import Runner
from unlearnbench.engine.stages import Stage
from unlearnbench.errors import PluginError, UsageError
from unlearnbench.models.contract.edits import Weights
from unlearnbench.models.files.load import load
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent


class Scaling(Method):
    """Multiplies the projector's weights."""

    class Params(Params):
        factor: float = 0.5

    params: Params

    def unlearn(self, model: Any, sets: Any, run: Any) -> Weights:
        own = Weights.of(model.projector_parameters()).tensors
        return Weights({name: tensor * self.params.factor for name, tensor in own.items()})


@method("chain-plain")
class Plain(Scaling):
    """On the pretrained model."""

    start = "pretrained"


@method("chain-based")
class Based(Scaling):
    """On the base model."""


class On(Continued):
    """What attacks are given."""

    factor: float = 3.0


@method("chain-attack")
class Attack(Scaling):
    """On what either has made."""

    start = "unlearned"
    Params = On


@method("chain-unnamed")
class Unnamed(Scaling):
    """Says not how to name what it goes on with."""

    start = "unlearned"


@method("chain-lost")
class Lost(Scaling):
    """Starts nowhere."""

    start = "elsewhere"  # type: ignore[assignment]


class Place:
    """Plans of a command."""

    def __init__(self, folder: Path, model: Path, data: Path) -> None:
        self.store, self.rows = Store(folder / "store"), RowStore(folder / "rows")
        self.options: dict[str, Any] = {
            "models": (str(model),),
            "data": str(data),
            "forget": (2,),
            "device": "cpu",
            "limit": 2,
        }

    def plans(
        self, *methods: str, tasks: tuple[str, ...] = ("pope",), **settings: dict[str, tuple[Any, ...]]
    ) -> list[Plan]:
        named = {owner.replace("_", "-"): values for owner, values in settings.items()}
        return plan(RunConfig(methods=methods, tasks=tasks, settings=named, **self.options), self.store)

    def keep(self, stage: Stage) -> None:
        """Let the store look as if it had what a stage makes."""
        folder = self.store.folder(stage.name, stage.key)
        folder.mkdir(parents=True)
        (folder / MANIFEST).touch()


@pytest.fixture
def place(tmp_path: Path, random_model: Path, small_data: Path) -> Place:
    return Place(tmp_path, random_model, small_data)


BOTH = {"method": ("chain-plain", "chain-based")}


def names(made: Plan) -> list[str]:
    return [stage.name for stage in made.stages]


def test_an_attacks_chain_is_that_of_the_method_and_one_stage_more(place: Place) -> None:
    plain, based, *attacks = place.plans("chain-plain", "chain-based", "chain-attack", chain_attack=BOTH)
    assert [names(made) for made in (plain, based)] == [["unlearned"], ["base", "unlearned"]]
    for own, attack in zip((plain, based), attacks, strict=True):
        assert names(attack) == [*names(own), "attacked"]
        assert [stage.digest for stage in attack.stages[:-1]] == [stage.digest for stage in own.stages]
        assert attack.row_id != own.row_id


def test_what_is_set_for_the_method_that_an_attack_goes_on_with_counts(place: Place) -> None:
    """Although it is no method of the run; and what is set for another that none goes on with is a mistake."""
    settings = {"chain_attack": {"method": ("chain-plain",)}, "chain_plain": {"factor": (0.5, 0.25)}}
    usual, other = place.plans("chain-attack", **settings)
    assert [made.methods[0].params.factor for made in (usual, other)] == [0.5, 0.25]  # type: ignore[attr-defined]
    assert usual.row_id != other.row_id
    assert usual.row_id == place.plans("chain-attack", chain_attack=settings["chain_attack"])[0].row_id
    with pytest.raises(UsageError, match=r"^--set chain-based\.…: 'chain-based' is not part of this run"):
        place.plans("chain-attack", **settings, chain_based={"factor": (1,)})


def test_an_attack_on_a_finetuned_reference_finetunes_it_as_the_base_is(place: Place) -> None:
    words = {"method": ["chain-attack"], "model": ["tiny-qwen2.5-vl"], "settings": ["chain-attack.method=retrain"]}
    assert GridOptions(**words, base="lora").config().settings["retrain"] == {"full": (False,)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("methods", "settings", "kind", "said"),
    [
        ("chain-attack", {}, UsageError, r"^chain-attack goes on with .*: say which, --set chain-attack\.method=NAME$"),
        ("chain-attack", {"chain_attack": {"method": ("chain-plan",)}}, UsageError, "^no method 'chain-plan'; did you"),
        (
            "chain-attack",
            {"chain_attack": {"method": ("chain-attack",)}},
            UsageError,
            "itself; name a method that star",
        ),
        ("chain-unnamed", {}, PluginError, r"^method 'chain-unnamed': .* subclass of unlearnbench\.Continued"),
        ("chain-lost", {}, PluginError, r"^method 'chain-lost': its start is 'elsewhere'; make it 'pretrained', "),
    ],
)
def test_what_is_no_chain_is_named(place: Place, methods: str, settings: Any, kind: type, said: str) -> None:
    with pytest.raises(kind, match=said):
        place.plans(methods, **settings)


def test_a_job_waits_for_those_that_make_what_it_lacks(place: Place) -> None:
    """Whatever is made already is waited for by nobody."""
    plans = place.plans("chain-attack", "chain-based", "chain-plain", tasks=("pope", "mme"), chain_attack=BOTH)

    def found() -> list[list[str]]:
        return [
            [" ".join([*(m.method.name for m in p.methods), p.cell.task]) for p in wave]
            for wave in waves(plans, place.store)
        ]

    assert found() == [
        ["chain-plain chain-attack pope", "chain-based chain-attack pope"],
        ["chain-plain chain-attack mme", "chain-based chain-attack mme"]
        + [f"{name} {task}" for name in ("chain-based", "chain-plain") for task in ("pope", "mme")],
    ]
    plans = place.plans("chain-based", "chain-attack", "finetune", chain_attack={"method": ("chain-based",)})
    assert found() == [["chain-based pope"], ["chain-based chain-attack pope", "finetune pope"]]
    for stage in plans[0].stages:
        assert plans[1].missing(place.store)[0].digest == stage.digest
        place.keep(stage)
    assert [stage.name for stage in plans[1].missing(place.store)] == ["attacked"]
    assert found() == [["chain-based pope", "chain-based chain-attack pope", "finetune pope"]]


def test_a_model_goes_through_all_stages_and_each_is_asked_for_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = Counter[str](), Store.get_or_make

    def counted(store: Store, kind: str, *others: Any, **named: Any) -> Any:
        asked[kind] += 1
        return ask(store, kind, *others, **named)

    monkeypatch.setattr(Store, "get_or_make", counted)
    [made] = place.plans("chain-attack", chain_attack={"method": ("chain-plain",)}, pope={"max_new_tokens": (2,)})
    [finished] = run_grid([made], place.rows, place.store, Silent())
    assert finished.row.status == "ok"
    assert asked == {"unlearned": 1, "attacked": 1}
    own = load(made.source.card, "cpu").projector_parameters()
    now = Runner(place.store, Silent()).ready(made).model.projector_parameters()
    for name, parameter in own.items():
        assert torch.equal(now[name], parameter * 0.5 * 3.0)
