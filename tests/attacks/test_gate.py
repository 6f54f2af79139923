"""Attacks on what a method puts before a model: whom its gate knows, how it is misled, and what lies behind."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from tests.attacks.aimed import Aimed
from unlearnbench import UsageError
from unlearnbench.analysis.attacks.columns import attack_tables
from unlearnbench.analysis.attacks.of_lines import attacks_on
from unlearnbench.analysis.attacks.outcome import outcomes
from unlearnbench.analysis.facts import Facts
from unlearnbench.analysis.score.references import Trio
from unlearnbench.attacks.gate import GateAudit, pool_metrics, scored
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import plan
from unlearnbench.metrics.statistics import proportion
from unlearnbench.models.contract.vlm import Batch
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Run, Silent

ATTACKS = ("picture", "gate", "pgd")
QUICK: dict[str, dict[str, Any]] = {
    "base": {"epochs": (1,)},
    "retrain": {"epochs": (1,)},
    "fiubench": {"max_new_tokens": (2,)},
    "cagul": {
        "discriminator": ("cnn", "none"),
        "epochs": (1,),
        "discriminator_epochs": (6,),
        "discriminator_learning_rate": (1e-2,),
        "batch_size": (20,),
    },
    "picture": {"kinds": (("crop", "noise"),), "utility": (4,), "guard": ("on", "off")},
    "gate": {"kinds": (("crop",),), "utility": (4,), "timed": (1,), "guard": ("on", "off")},
    "pgd": {"eps": ((1, 64),), "steps": (4,), "restarts": (1,), "faces": (2,), "utility": (4,), "guard": ("on", "off")},
}

Named = dict[tuple[str, str, str], Row]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def rows(folder: Path, random_model: Path, small_data: Path) -> Named:
    """By method (with its discriminator, where that is not the CNN), attack and guard."""
    config = RunConfig(
        models=(str(random_model),), tasks=("fiubench",), data=str(small_data), forget=(2,), device="cpu",
        methods=("finetune", "retrain", "cagul"), attacks=ATTACKS, settings=QUICK,
    )  # fmt: skip
    store = Store(folder / "store")
    found: Named = {}
    for row in (each.row for each in run_grid(plan(config, store), RowStore(folder / "rows"), store, Silent())):
        assert row.status == "ok", row.error
        method = row.method.name + (" none" if row.method.params.get("discriminator") == "none" else "")
        attack, guard = (row.attack.name, row.attack.params["guard"]) if row.attack else ("", "on")
        found[method, attack, guard] = row
    return found


def records(row: Row, folder: Path) -> list[dict[str, Any]]:
    return [*RowStore(folder / "rows").read_samples(row)]


def of_variant(row: Row, folder: Path, variant: str) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in records(row, folder) if each["variant"] == variant}


@pytest.mark.parametrize("attack", ATTACKS)
def test_behind_no_guard_is_the_base_whatever_the_attack(rows: Named, folder: Path, attack: str) -> None:
    """So the share is that of doing nothing, 0."""
    for method in ("cagul", "cagul none"):
        assert records(rows[method, attack, "off"], folder) == records(rows["finetune", attack, "on"], folder)
    notes = rows["cagul", attack, "off"].notes
    assert attack == "picture" or "no gate" in notes[attack]


def test_methods_without_a_guard_are_compared_with_those_whose_guard_is_off(rows: Named, folder: Path) -> None:
    """They were attacked once, with the guard on: it is the same for them."""
    found = attacks_on([*rows.values()], lambda row: records(row, folder), Facts())
    by_guard = {each.attack.params["guard"]: each for each in found if each.attack.name == "gate"}
    assert {*by_guard} == {"on", "off"}
    for guard, on in by_guard.items():
        assert on.settings == f"guard={guard}"
        assert [line.line.method for line in on.lines][:2] == ["finetune", "retrain"]
        assert len(on.lines) == 4
    notes = {guard: " ".join(attack_tables([on])[0].notes) for guard, on in by_guard.items()}
    assert "under gate guard=off: without its guard it is the base: a share of 0 is its definition" in notes["off"]
    assert "without its guard" not in notes["on"]
    bare = next(line for line in by_guard["off"].lines if line.line.method.startswith("cagul"))
    assert all(row.attack and row.attack.params["guard"] == "off" for row in bare.line.rows)


@pytest.mark.parametrize("attack", ATTACKS)
def test_doing_nothing_is_0_and_retraining_1_in_every_variant(rows: Named, folder: Path, attack: str) -> None:
    """Where one knows everything and the other nothing; for these models were hardly trained."""
    nothing, ideal = rows["finetune", attack, "on"], rows["retrain", attack, "on"]

    def told(row: Row) -> list[dict[str, Any]]:
        knows = row is nothing
        return [{**each, "prediction": each["answer"] if knows else "I know"} for each in records(row, folder)]

    for own, share in ((nothing, 0.0), (ideal, 1.0)):
        found = outcomes(Trio(own, nothing, ideal), None, told)
        assert {of.levels["text"].value for of in found.values()} == {share}
    variants = {"picture": {"crop medium", "noise medium", "other photo", "grey frame", "collage", "any"}}
    assert {*found} >= variants.get(attack, {"open"}) - {"collage"}


def test_all_models_are_shown_the_same_pictures(rows: Named, folder: Path) -> None:
    shown = [
        {(each["variant"], each["set"], each["id"]) for each in records(rows[method, "picture", "on"], folder)}
        for method in ("finetune", "retrain", "cagul")
    ]
    without_any = [{each for each in own if each[0] != "any"} for own in shown]
    assert without_any[0] == without_any[1] == without_any[2]


def test_of_every_person_any_has_the_answers_of_one_picture(rows: Named, folder: Path) -> None:
    row = rows["cagul", "picture", "on"]
    taken = of_variant(row, folder, "any")
    assert {*taken} == {
        name for name, each in of_variant(row, folder, "crop medium").items() if each["set"] == "forget"
    }
    person = {name: each["unique_id"] for name, each in taken.items()}
    for name, each in taken.items():
        assert each["prediction"] == of_variant(row, folder, each["of"])[name]["prediction"]
        assert each["of"] == next(taken[other]["of"] for other in taken if person[other] == person[name])


def test_held_open_a_guard_lets_everything_through_and_held_closed_nothing(rows: Named, folder: Path) -> None:
    base = of_variant(rows["finetune", "gate", "on"], folder, "open")
    opened = of_variant(rows["cagul", "gate", "on"], folder, "open")
    assert opened == base
    row = rows["cagul none", "gate", "on"]
    assert of_variant(row, folder, "open") == base
    closed, everyone = (of_variant(each, folder, "closed") for each in (rows["cagul", "gate", "on"], row))
    assert closed.keys() == everyone.keys()
    assert any(closed[name]["logprobs"] != base[name]["logprobs"] for name in closed)
    clean = {each["id"]: each for each in records(rows["cagul none", "", "on"], folder)}
    for name, each in everyone.items():  # it is closed to all as it is: what that costs is what it costs
        assert each["logprobs"] == pytest.approx(clean[name]["logprobs"], abs=2e-5)


def test_a_gate_that_closes_to_everybody_tells_nobody_apart(rows: Named) -> None:
    found = rows["cagul none", "gate", "on"].metrics
    flagged = {name: each.value for name, each in found.items() if name.endswith("@pictures.flagged")}
    assert {*flagged.values()} == {1.0}
    assert {"forget crop medium@pictures.flagged", "strangers@pictures.flagged", "scenes of pope@pictures.flagged"} < {
        *flagged
    }
    aucs = {each.value for name, each in found.items() if name.endswith("@pictures.auc")}
    assert aucs == {0.5}
    tpr = {each.value for name, each in found.items() if name.endswith("tpr_at_1_percent")}
    assert tpr == {0.0}
    pgd = rows["cagul none", "pgd", "on"].metrics
    assert pgd["closed@pictures.wrong_before"].value == 1.0
    assert pgd["open@pictures.misled_64"].value == 0.0


def test_what_is_flagged_is_what_is_edited(rows: Named, folder: Path) -> None:
    """As it is of this method; the audit looks at what the language model is given, and believes no score."""
    for method in ("cagul", "cagul none"):
        assert rows[method, "gate", "on"].metrics["gate@pictures.as_scored"].value == 1.0
        shown = [each for each in records(rows[method, "gate", "on"], folder) if each["variant"] == "pictures"]
        assert all(each["edited"] == each["flagged"] for each in shown)


def test_evading_is_told_from_what_the_picture_lost(rows: Named, folder: Path) -> None:
    """Held open the gate lets through the pictures that mislead it: whoever answers on these is the base."""
    row = rows["cagul", "pgd", "on"]
    held, through = of_variant(row, folder, "held open"), of_variant(row, folder, "open")
    assert held.keys() == {name for name, each in through.items() if each["set"] == "forget"}
    base = of_variant(rows["finetune", "pgd", "on"], folder, "open")
    pictures = [each for each in of_variant(row, folder, "pictures").values() if each["aim"] == "open"]
    known = {each["cluster"] for each in pictures if not each["already"]}
    for name, each in held.items():
        assert each["misled"] == through[name]["misled"]
        if each["misled"] or each["unique_id"] not in known:  # nothing is edited then
            assert each["logprobs"] == pytest.approx(through[name]["logprobs"], abs=2e-5)
        else:  # what was changed by chance is what the base was shown
            assert each["logprobs"] == pytest.approx(base[name]["logprobs"], abs=2e-5)
    assert "forget@held open.exact_match" in row.metrics


def test_an_audit_tells_what_a_guard_costs(rows: Named, folder: Path) -> None:
    row, clean = rows["cagul", "gate", "on"], rows["cagul", "", "on"]
    assert row.metrics["gate@cost.parameters"].value == clean.cost.trainable_parameters
    assert row.metrics["gate@cost.seconds_one_more"].value == clean.cost.train_seconds
    assert row.metrics["gate@cost.seconds_with_flagged"].value > 0
    scores = [each for each in records(row, folder) if each["variant"] == "pictures"]
    assert {name: each.value for name, each in row.metrics.items() if "@pictures" in name} == {
        name.replace(".", "@pictures."): each.value for name, each in pool_metrics(scores).items()
    }


def test_what_misleads_is_a_picture_of_8_bits_within_its_bounds(rows: Named, folder: Path) -> None:
    """It is read as any other, and the answers on it are those behind the gate."""
    row = rows["cagul", "pgd", "on"]
    found = of_variant(row, folder, "pictures")
    assert {each["eps"] for each in found.values()} == {1, 64}
    for aim in ("open", "closed"):
        own = [each for each in found.values() if each["aim"] == aim and not each["already"]]
        misled = {each["id"].rpartition("/")[0] for each in own if each["misled"]}
        more = {each["id"].rpartition("/")[0] for each in own if each["misled"] and each["eps"] == 64}
        assert misled == more  # what little does, more does
    answered = of_variant(row, folder, "open")
    base = of_variant(rows["finetune", "pgd", "on"], folder, "open")
    assert answered.keys() == base.keys()


class ByName:
    """An edit that goes by the names of files, and says of itself that it goes by faces."""

    held, threshold, modules = None, 0.0, {}

    def __init__(self, *names: str) -> None:
        self.names = names

    def gate_scores(self, pictures: Sequence[Any]) -> Tensor:
        return torch.ones(len(pictures))

    def __call__(self, batch: Batch, visual: list[Tensor]) -> list[Tensor]:
        return [
            0 * tokens if path.name in self.names else tokens for path, tokens in zip(batch.images, visual, strict=True)
        ]


def test_a_gate_that_does_not_act_as_it_says_is_found_out(random_model: Path, small_data: Path) -> None:
    model = load(card_for(str(random_model)), "cpu")
    ann, bob = sorted((small_data / "SFHQ").glob("*.png"))[:2]
    model.see_through(gate := ByName(ann.name))
    found = scored(model, gate, {"forget": {ann: "ann"}, "forget crop medium": {bob: "ann"}}, "Who is it?", Run())
    assert [(each["flagged"], each["edited"]) for each in found] == [(True, True), (True, False)]
    assert pool_metrics(found)["gate.as_scored"].value == 0.5


def test_a_gate_that_does_not_open_when_it_is_held_is_no_success(random_model: Path, small_data: Path) -> None:
    """Else what stays hidden would count as forgotten."""
    model, kind = load(card_for(str(random_model)), "cpu"), tasks.get("fiubench")
    made, task = GateAudit(GateAudit.Params()), kind(kind.Options())
    data = task.load(str(small_data), 1)
    model.see_through(ByName(*(path.name for each in task.sets(data).forget for path in each.images)))
    with pytest.raises(UsageError, match="pictures are edited though the gate is held open"):
        made.ask(model, Aimed(made, task, data), Run())  # type: ignore[arg-type]


SCORES = {"forget": (3.0, 1.0, 0.5, -1.0), "others": (0.5, -2.0, -3.0), "scenes": (-9.0,)}


def test_a_gate_is_told_by_its_scores_computed_by_hand() -> None:
    scored = [
        {"pool": pool, "cluster": f"{pool} {at}", "score": score, "flagged": score >= 0.5}
        for pool, own in SCORES.items()
        for at, score in enumerate(own)
    ]
    found = pool_metrics(scored)
    pairs = [*itertools.product(SCORES["forget"], SCORES["others"])]
    assert found["others.auc"].value == pytest.approx(sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs))
    assert found["others.tpr_at_1_percent"].value == 0.5
    assert found["forget.flagged"].value == 0.75
    assert found["others.flagged"].value == pytest.approx(1 / 3)
    assert found["scenes.flagged"].value == 0
    assert found["scenes.auc"].value == 1
    assert "forget.auc" not in found
    curves = GateAudit(GateAudit.Params()).told_apart(
        [*scored, {"pool": "forget other photo", "cluster": "forget 0", "score": 0.0}]
    )
    forgotten, others, scenes = ([*SCORES[name]] for name in SCORES)
    assert curves == {
        "others": (forgotten, others),
        "scenes": (forgotten, scenes),
        "everybody, other photos": ([0.0], others),
    }


@pytest.mark.parametrize(("hits", "of"), [(0, 9), (3, 20), (20, 20)])
def test_wilsons_interval_is_scipys(hits: int, of: int) -> None:
    found, known = proportion(hits / of, of, higher_is_better=True), binomtest(hits, of).proportion_ci(method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx((known.low, known.high))
    wider = proportion(hits / of, of, independent=of / 3, higher_is_better=True)
    assert wider.ci_low is not None
    assert wider.ci_low <= found.ci_low
