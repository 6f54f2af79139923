"""The baselines: which losses they put together, on which samples, and what they leave alone."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from unlearnbench.config import resolve
from unlearnbench.contracts.sample import Sets
from unlearnbench.errors import UnlearnbenchError
from unlearnbench.methods.retrain import Retrain
from unlearnbench.models.contract.edits import Adapter, Weights
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import methods
from unlearnbench.runtime.run import Run
from unlearnbench.training.adaptation import adapted
from unlearnbench.training.loop import Apart
from unlearnbench.training.params import LoRAParams, UnlearnParams
from unlearnbench.training.unlearning import Paired, Pairs, Unlearning

BASELINES = ("ga", "ga-gd", "ga-kl", "po-gd", "npo-gd", "simnpo-gd")
QUICK = {"epochs": 1, "batch_size": 6, "lora.rank": 2}


class Told:
    """A state that answers with made-up numbers: what is asked of it shows which samples a loss uses."""

    def __init__(self) -> None:
        self.own = [torch.tensor([-0.5, -1.5]), torch.tensor([-2.0])]
        self.before = [torch.tensor([-0.1, -0.2]), torch.tensor([-0.3])]

    def nll(self, samples: str, answers: str | None = None) -> torch.Tensor:
        return torch.tensor(
            {("forget", None): 3.0, ("retain", None): 5.0, ("forget", "refusals"): 7.0}[samples, answers]
        )

    def kl(self, samples: str) -> torch.Tensor:
        assert samples == "retain"
        return torch.tensor(11.0)

    def log_probabilities(self, samples: str) -> list[torch.Tensor]:
        assert samples == "forget"
        return self.own

    def reference(self, samples: str) -> list[torch.Tensor]:
        assert samples == "forget"
        return self.before


def npo_by_hand(beta: float) -> float:
    ratios = [math.exp(-2.0 + 0.3), math.exp(-2.0 + 0.3)]
    return sum(2 / beta * math.log(1 + ratio**beta) for ratio in ratios) / 2


def simnpo_by_hand(beta: float) -> float:
    means = [-1.0, -2.0]
    return sum(-2 / beta * math.log(1 / (1 + math.exp(beta * mean))) for mean in means) / 2


@pytest.mark.parametrize(
    ("name", "settings", "total"),
    [
        ("ga", {}, -3.0),
        ("ga-gd", {"retain_weight": 2.0}, -3.0 + 2 * 5.0),
        ("ga-kl", {"retain_weight": 2.0}, -3.0 + 2 * 11.0),
        ("po-gd", {"retain_weight": 2.0}, 7.0 + 2 * 5.0),
        ("npo-gd", {"retain_weight": 2.0, "beta": 0.3}, npo_by_hand(0.3) + 2 * 5.0),
        (
            "simnpo-gd",
            {"retain_weight": 2.0, "beta": 0.7, "forget_weight": 0.5},
            0.5 * simnpo_by_hand(0.7) + 2 * 5.0,
        ),
    ],
)
def test_a_methods_loss_is_what_its_paper_adds_up(name: str, settings: dict[str, float], total: float) -> None:
    kind = methods.get(name)
    made = kind(resolve(kind.Params, name, "large", settings))
    parts = made.loss(Told(), SimpleNamespace(forget="forget", retain="retain", refusals="refusals"))  # type: ignore[attr-defined]
    assert float(sum(parts.values())) == pytest.approx(total)


@pytest.mark.parametrize("name", BASELINES)
def test_training_changes_an_adapter_on_the_language_model_alone(model: VLM, sets: Sets, name: str) -> None:
    kind = methods.get(name)
    before = {n: p.clone() for n, p in model.model.named_parameters()}
    modules = dict(model.model.named_modules())
    shapes = [modules[n].weight.shape for n in model.language_linears()]
    run = Run(3)
    edit = kind(resolve(kind.Params, name, "tiny", QUICK)).unlearn(model, sets, run)
    assert isinstance(edit, Adapter)
    after = {n.replace(".base_layer", ""): p for n, p in model.model.named_parameters()}
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    changed = {n for n, p in model.model.named_parameters() if "lora_B" in n and p.abs().sum() > 0}
    assert len(changed) == 7 * len(model.language_model().layers)
    assert edit.trainable_parameters == sum(2 * (inputs + outputs) for outputs, inputs in shapes)
    note = run.notes["training"]
    assert (note["epochs"], note["steps"]) == (1, -(-len(sets.forget) // 6)) or "bound" in note["stopped"]
    assert ("early_stopping" in run.notes) == name.startswith("ga")
    assert run.cost["samples_per_second"] > 0
    rows = [row for batch in [*Paired(sets, ("no",), 6, 3).epoch(1)][: note["steps"]] for row in batch]
    partners = [] if name == "ga" else [partner for _, _, partner in rows]
    own = sum(partner in sets.nonprivate for partner in partners)
    seen = {"forget": len(rows), "nonprivate": own, "others": len(partners) - own, "validation": 0, "held_out": 0}
    assert run.cost["examples"] == seen
    beside = "" if name == "ga" else ", a retain sample beside each of its samples"
    assert run.cost["epoch"] == f"one pass over the forget set{beside}"


def test_a_full_finetune_is_weights(model: VLM, sets: Sets) -> None:
    kind = methods.get("ga-kl")
    edit = kind(resolve(kind.Params, "ga-kl", "tiny", QUICK | {"full": True})).unlearn(model, sets, Run())
    assert isinstance(edit, Weights)
    assert set(edit.tensors) == {**model.language_parameters(), **model.projector_parameters()}.keys()


def test_ascent_stops_at_its_bound_and_says_so(model: VLM, sets: Sets) -> None:
    kind = methods.get("ga")
    run = Run()
    settings = QUICK | {"epochs": 50, "stop.forget_loss": 4.0, "stop.retain_rise": None, "learning_rate": 5e-3}
    settings["stop.forget_ratio"] = None
    kind(resolve(kind.Params, "ga", "tiny", settings)).unlearn(model, sets, run)
    assert run.notes["training"]["stopped"] == "forget loss reached its bound"
    told = run.notes["early_stopping"]
    assert told["last_look"]["forget"] >= 4.0
    assert told["last_look"]["step"] == run.notes["training"]["steps"] < 50 * 2
    assert set(told["start"]) == {"forget", "validation"}


def test_a_learning_rate_of_ten_ends_in_one_line(model: VLM, sets: Sets) -> None:
    kind = methods.get("po-gd")
    with pytest.raises(UnlearnbenchError, match=r"diverged.*lower the learning rate"):
        kind(resolve(kind.Params, "po-gd", "tiny", {"learning_rate": 10, "epochs": 20})).unlearn(model, sets, Run())


def test_pairs_go_through_the_forget_set_once_an_epoch_and_never_see_the_held_out(sets: Sets) -> None:
    pairs = Paired(sets, ("no", "never"), 5, seed=4)
    epochs = [[row for batch in pairs.epoch(number) for row in batch] for number in (1, 2, 1)]
    assert epochs[0] == epochs[2] != epochs[1]
    for rows in epochs:
        assert sorted(forget.id for forget, _, _ in rows) == sorted(sample.id for sample in sets.forget)
        assert {retain.id for _, _, retain in rows} <= {sample.id for sample in sets.retain}
    refusals = [{forget.id: refusal for forget, refusal, _ in rows} for rows in epochs]
    assert refusals[0] == refusals[1]
    assert set(refusals[0].values()) == {"no", "never"}
    assert sum(len(batch) for batch in pairs.epoch(1)) == len(sets.forget)
    assert len(list(pairs.epoch(1))) == len(pairs)
    assert Pairs(*map(list, zip(*epochs[0], strict=True))).forget == [forget for forget, _, _ in epochs[0]]


def test_retraining_learns_everything_but_the_forget_set(
    model: VLM, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[str] = []

    def memorise(model: VLM, samples: list[object], *rest: object) -> None:
        learned.extend(sample.id for sample in samples)  # type: ignore[attr-defined]

    monkeypatch.setattr("unlearnbench.training.base.memorise", memorise)
    Retrain(resolve(Retrain.Params, "retrain", "tiny", {})).unlearn(model, sets, Run())
    assert sorted(learned) == sorted(s.id for s in (*sets.nonprivate, *sets.others, *sets.validation, *sets.held_out))
    base = resolve(methods.get("retrain").Params, "retrain", "tiny", {}).model_dump()
    assert base == resolve(Retrain.Params.__mro__[1], "base", "tiny", {}).model_dump()


def test_npos_reference_is_the_model_before(model: VLM, sets: Sets) -> None:
    """At the first step model and reference agree, and the loss is (2 / beta) log 2."""
    from unlearnbench.training.losses import npo

    batch = model.prepare(sets.forget[:2], [sample.answer for sample in sets.forget[:2]])
    own = model.answer_log_probabilities(batch)
    assert torch.allclose(npo(own, own, 0.1), torch.full((2,), 20 * math.log(2)))
    assert float(F.logsigmoid(torch.zeros(()))) == pytest.approx(-math.log(2))


def test_what_the_model_before_says_of_any_answer_is_asked_once(
    model: VLM, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of refusals, while the adapter changes; an answer that is asked about twice in a batch counts once."""
    samples = [*sets.forget[:2], sets.forget[0]]
    answers = ["no comment", "I cannot say", "no comment"]
    with torch.no_grad():
        before = model.answer_log_probabilities(model.prepare(samples, answers))
        true = model.answer_log_probabilities(model.prepare(samples, [sample.answer for sample in samples]))
    with adapted(model, UnlearnParams(lora=LoRAParams(rank=2, dropout=0.0)), 0) as trainee:
        state, asked = Unlearning(trainee), list[int]()
        plainly = trainee.log_probabilities
        monkeypatch.setattr(trainee, "log_probabilities", lambda batch: asked.append(len(batch)) or plainly(batch))
        first = state.reference(samples, answers)
        for parameter in trainee.parameters:
            parameter.data.add_(0.1)
        again = state.reference(samples, answers)
        own = state.reference(samples)
    assert asked == [2, 2]
    for expected, found in ((before, first), (before, again), (true, own)):
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(expected, found, strict=True))


def test_backward_passes_apart_train_the_same_and_count_the_same(sets: Sets) -> None:
    """Of parts whose samples are asked for when their turn comes; gradients add up in another order."""
    kind = methods.get("ga-gd")

    class InTwo(kind):  # type: ignore[misc, valid-type]
        def loss(self, state: Unlearning, batch: Pairs) -> dict[str, Apart]:
            return {
                "forget": Apart(lambda: -state.nll(batch.forget)),
                "retain": Apart(lambda: self.params.retain_weight * state.nll(batch.retain)),
            }

    trained, runs = [], []
    for each in (kind, InTwo):
        fresh, run = load(card_for("tiny-qwen2.5-vl"), "cpu"), Run(1)
        each(resolve(kind.Params, "ga-gd", "tiny", QUICK)).unlearn(fresh, sets, run)
        trained.append([p for n, p in fresh.model.named_parameters() if "lora_B" in n])
        runs.append(run)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*trained, strict=True))
    assert runs[0].cost["examples"] == runs[1].cost["examples"]
    assert runs[0].cost["epoch"] == runs[1].cost["epoch"]
