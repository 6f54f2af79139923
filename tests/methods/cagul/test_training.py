"""CAGUL's trainer against the plain loop, its gate, and what it must not touch."""

import hashlib

import pytest
import torch

from benchmarks.cagul.plain import PlainCagul, largest_difference
from unlearnbench.contracts.sample import Sets
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import CAGULTrainer, train, training_cases
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.runtime.run import Run

QUICK: dict[str, object] = {
    "discriminator_epochs": 8,
    "discriminator_learning_rate": 1e-2,
    "batch_size": 10,
    "learning_rate": 1e-3,
    "k": 6,
}


def digest(model: VLM) -> str:
    state = hashlib.sha256()
    for name, tensor in model.model.state_dict().items():
        state.update(name.encode() + tensor.numpy().tobytes())
    return state.hexdigest()


def test_cached_and_skipping_trainer_gives_the_plain_loops_weights(model: VLM, sets: Sets) -> None:
    params = CAGULParams(epochs=2, **(QUICK | {"discriminator_learning_rate": 1e-3}))
    cases = training_cases(sets, params.refusals, Run(0))
    fast, plain = train(model, sets, params, Run(0)), PlainCagul(model, params, seed=0)
    plain.train(cases)
    modules = fast.modules
    assert largest_difference(modules["encoder"].parameters(), plain.encoder.parameters()) <= 1e-6
    # Of pictures at once and one by one D's gradients differ in their last digits, of which Adam makes steps.
    assert largest_difference(modules["discriminator"].parameters(), plain.discriminator.parameters()) <= 1e-5
    assert (fast.encoder.layer.weight - torch.eye(model.width)).abs().max() > 1e-3  # something was learned


@torch.no_grad()
def test_only_samples_behind_the_gate_reach_the_language_model(model: VLM, sets: Sets) -> None:
    guard = Guard(model, CAGULParams(gate="label", **QUICK))
    trainer = CAGULTrainer(model, guard)
    cases = training_cases(sets, ("I cannot answer this question.",), Run(0))
    asked: list[int] = []
    original = model.answer_log_probabilities
    model.answer_log_probabilities = lambda batch, visual=None: asked.append(len(batch)) or original(batch, visual)
    trainer.losses(cases)
    assert asked == [len(sets.forget) + len(sets.nonprivate)]


def test_weights_stay_and_receive_no_gradient(model: VLM, sets: Sets) -> None:
    before = digest(model)
    train(model, sets, CAGULParams(epochs=1, **QUICK), Run(0))
    assert digest(model) == before
    assert all(parameter.grad is None for parameter in model.model.parameters())


def test_same_seed_same_modules_another_seed_others(model: VLM, sets: Sets) -> None:
    params = CAGULParams(epochs=1, **QUICK)
    first, again, other = (train(model, sets, params, Run(seed)).modules for seed in (0, 0, 1))
    for name in first:
        same = zip(first[name].parameters(), again[name].parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in same)
    assert largest_difference(first["discriminator"].parameters(), other["discriminator"].parameters()) > 1e-3


@pytest.mark.parametrize(
    ("variant", "modules"),
    [
        ({"discriminator": "none"}, {"encoder"}),
        ({"encoder": "noise"}, {"discriminator"}),
        ({"selection": "random"}, {"discriminator", "encoder"}),
        ({"discriminator_head": "linear", "encoder_init": "random"}, {"discriminator", "encoder"}),
        ({"layer_reduce": "last", "gate": "label"}, {"discriminator", "encoder"}),
        ({"layer_reduce": (0, 2), "positive_weight": 3.0}, {"discriminator", "encoder"}),
    ],
)
def test_variants_train_store_and_load(model: VLM, sets: Sets, tmp_path, variant, modules) -> None:  # type: ignore[no-untyped-def]
    guard = train(model, sets, CAGULParams(epochs=1, **(QUICK | variant)), Run(3))
    assert set(guard.modules) == modules
    guard.save(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.safetensors" for name in modules} | {"guard.json"}
    loaded = Guard.load(tmp_path, model)
    assert loaded.params == guard.params
    batch = model.prepare([sets.forget[0], sets.nonprivate[0], sets.others[0]])
    visual = [picture.tokens for picture in batch.pictures]
    assert all(torch.equal(a, b) for a, b in zip(guard(batch, visual), loaded(batch, visual), strict=True))


@pytest.mark.parametrize("drawn", [{"encoder": "noise"}, {"selection": "random"}])
def test_what_is_drawn_is_the_runs_own_and_stored(model: VLM, sets: Sets, tmp_path, drawn) -> None:  # type: ignore[no-untyped-def]
    """A loaded edit draws for every sample what training drew for it; a run of another seed draws otherwise."""
    params = CAGULParams(epochs=0, discriminator="none", encoder_init="random", k=6, **drawn)
    batch = model.prepare([sets.forget[0], sets.nonprivate[0], sets.others[0]])
    visual = [picture.tokens for picture in batch.pictures]
    seen = []
    for seed in (4, 5):
        (folder := tmp_path / str(seed)).mkdir()
        guard = train(model, sets, params, Run(seed))
        guard.save(folder)
        seen.append(guard(batch, visual))
        loaded = Guard.load(folder, model)
        assert all(torch.equal(a, b) for a, b in zip(seen[-1], loaded(batch, visual), strict=True))
        alone = loaded(batch.take([2]), visual[2:])[0]  # with others or without
        assert torch.equal(alone, seen[-1][2])
    changed = [[(a != b).any(-1).tolist() for a, b in zip(visual, each, strict=True)] for each in seen]
    for sample in range(3):
        assert not torch.equal(seen[0][sample], seen[1][sample])
        assert (changed[0][sample] == changed[1][sample]) == (params.selection != "random")


def test_what_the_encoder_is_taught_is_nothing_to_the_discriminator(model: VLM, sets: Sets) -> None:
    """Its weights are the same whatever refusals are worded like, how fast E learns, and whether there is an E."""
    taught: list[dict[str, object]] = [
        {"refusals": ("I cannot answer this question.",)},
        {"refusals": ("No.", "My lips are sealed, whoever it may be that asks me about this fine person!")},
        {"learning_rate": 0.3, "loss": "ga-gd"},
        {"encoder": "noise"},
    ]
    guards = [train(model, sets, CAGULParams(epochs=2, **(QUICK | each)), Run(0)) for each in taught]
    first, *others = [[*guard.modules["discriminator"].parameters()] for guard in guards]
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    one, two, three = [guard.encoder.layer.weight for guard in guards if guard.encoder]
    assert not torch.equal(one, two)
    assert not torch.equal(two, three)


def test_half_precision_model_full_precision_modules(model: VLM, sets: Sets) -> None:
    """On a GPU the frozen model is in bfloat16."""
    model = type(model)(model.model.to(torch.bfloat16), model.processor)
    run = Run(0)
    guard = train(model, sets, CAGULParams(epochs=1, **QUICK), run)
    assert all(parameter.dtype == torch.float32 for m in guard.modules.values() for parameter in m.parameters())
    batch = model.prepare(sets.forget[:3], [sample.answer for sample in sets.forget[:3]])
    guard.apply(model)
    assert all(tokens.dtype == torch.bfloat16 for tokens in model.look(batch))
    assert all(torch.isfinite(values).all() for values in model.answer_log_probabilities(batch))
    assert set(run.notes["cagul"]["flagged"]) == {"forget", "others", "validation"}
    assert {"discriminator", "refuse", "retain"} < set(run.notes["training"])


def test_refusals_are_drawn_for_forget_samples_alone(sets: Sets) -> None:
    refusals = ("I cannot answer this question.", "I do not know this person.")
    cases = training_cases(sets, refusals, Run(4))
    assert {case.answer for case in cases if case.forget} == set(refusals)
    assert all(case.answer == case.sample.answer for case in cases if not case.forget)
    assert [case.flagged for case in cases] == [case.sample.cluster in sets.forgotten for case in cases]


def test_a_gate_that_opens_for_nobody_and_a_choice_of_all_tokens_are_told(
    model: VLM, sets: Sets, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = {len(model.see(image).tokens) for sample in sets.forget for image in sample.images}
    shut = CAGULParams(epochs=0, **(QUICK | {"discriminator_epochs": 1, "threshold": 1 - 1e-9, "k": max(tokens)}))
    run = Run(0)
    train(model, sets, shut, run)
    assert run.notes["cagul"]["flagged"]["forget"] == 0.0
    pictures = len({image for sample in sets.forget for image in sample.images})
    assert run.notes["cagul"]["replaced_wholly"] == {"pictures": pictures, "of": pictures}
    assert "the gate opens for no picture to be forgotten" in caplog.text
    assert f"of {pictures} of {pictures} pictures to be forgotten all tokens are replaced" in caplog.text
    caplog.clear()
    run = Run(0)
    train(model, sets, CAGULParams(epochs=0, discriminator="none", k=min(tokens) - 1), run)
    assert [*run.notes["cagul"]] == ["flagged"]
    assert not caplog.text
