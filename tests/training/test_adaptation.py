"""What is trained and what is not: adapters by full names, references without a second copy, what is stored of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import MllamaConfig, MllamaForConditionalGeneration, Qwen2_5_VLConfig
from transformers import Qwen2_5_VLForConditionalGeneration as Qwen

from unlearnbench.contracts.sample import Sample, Sets
from unlearnbench.errors import UsageError
from unlearnbench.models.contract.edits import Trained
from unlearnbench.models.contract.network import linears_within
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.families.qwen2_5_vl import Qwen2_5_VL
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.training.adaptation import adapted, target_layers
from unlearnbench.training.losses import answer_nll, kl_from_reference
from unlearnbench.training.params import FinetuneParams, LoRAParams
from unlearnbench.training.unlearning import Unlearning

FULL = FinetuneParams(full=True)
LORA = FinetuneParams(lora=LoRAParams(rank=4, alpha=8, dropout=0.2))
BOTH = FinetuneParams(lora=LoRAParams(rank=4, alpha=8, projector=True))
BESIDE = FinetuneParams(lora=LoRAParams(rank=4, alpha=8, projector="full"))
KINDS = pytest.mark.parametrize(
    "params", [FULL, LORA, BOTH, BESIDE], ids=["full", "lora", "lora and projector", "lora beside a full projector"]
)


def step(parameters: list[nn.Parameter], scale: float = 0.02) -> None:
    """Change what is trained, somehow."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters:
            parameter += scale * torch.randn(parameter.shape, generator=generator)


def answers(model: VLM, samples: list[Sample]) -> list[torch.Tensor]:
    batch = model.prepare(samples, [sample.answer for sample in samples])
    return [values.detach() for values in model.answer_log_probabilities(batch)]


@KINDS
def test_kl_is_zero_at_step_0_and_the_reference_stays(model: VLM, few: list[Sample], params: FinetuneParams) -> None:
    before = answers(model, few)
    with adapted(model, params, seed=0) as trainee:
        model.model.eval()  # an untrained adapter's output is zero, dropout or not; the changed one's is compared below
        trainee.remember()
        state = Unlearning(trainee)
        assert state.kl(few).item() == 0.0
        step(trainee.parameters)
        assert state.kl(few).item() > 1e-4
        with trainee.reference():
            again = state.log_probabilities(few)
        assert all(torch.equal(a, b) for a, b in zip(before, again, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(before, state.reference(few), strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(before, state.log_probabilities(few), strict=True))


@KINDS
def test_what_is_stored_gives_the_trained_model_and_touches_no_vision_weight(
    model: VLM, few: list[Sample], params: FinetuneParams, tmp_path: Path
) -> None:
    tower = {n: p.clone() for n, p in model.model.named_parameters() if "visual" in n and "merger" not in n}
    assert tower
    with adapted(model, params, seed=0) as trainee:
        step(trainee.parameters)
    trained = answers(model, few)
    edit = trainee.edit()
    edit.save(tmp_path)
    assert edit.trainable_parameters == sum(p.numel() for p in trainee.parameters)
    fresh = load(card_for("tiny-qwen2.5-vl"), "cpu")
    loaded = Trained.load(tmp_path, fresh)
    loaded.apply(fresh)
    assert all(torch.equal(a, b) for a, b in zip(trained, answers(fresh, few), strict=True))
    after = dict(fresh.model.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in tower.items())
    assert not any(parameter.requires_grad for parameter in fresh.model.parameters())
    merged = load(card_for("tiny-qwen2.5-vl"), "cpu")
    Trained.load(tmp_path, merged).merge(merged)
    assert set(dict(merged.model.named_parameters())) == set(
        dict(load(card_for("tiny-qwen2.5-vl"), "cpu").model.named_parameters())
    )
    for one, other in zip(trained, answers(merged, few), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_gradients_reach_the_adapter_alone(model: VLM, few: list[Sample]) -> None:
    with adapted(model, LORA, seed=0) as trainee:
        Unlearning(trainee).nll(few).backward()
        touched = {name for name, parameter in model.model.named_parameters() if parameter.grad is not None}
        named = {name for name, parameter in model.model.named_parameters() if parameter.requires_grad}
        assert touched == named
        assert all(".lora_" in name and "language_model.layers" in name for name in touched)
        assert len(trainee.parameters) == len(touched) == 2 * 7 * len(model.language_model().layers)


def test_the_ascending_gradient_is_minus_the_finetuning_one(model: VLM, few: list[Sample]) -> None:
    gradients = []
    for sign in (1.0, -1.0):
        with adapted(model, FULL, seed=0) as trainee:
            (sign * Unlearning(trainee).nll(few)).backward()
            gradients.append([p.grad.clone() for p in trainee.parameters if p.grad is not None])
    finetuning, ascent = gradients
    assert finetuning
    assert all(torch.equal(a, -b) for a, b in zip(finetuning, ascent, strict=True))


def test_checkpointed_activations_give_the_same_gradients(few: list[Sample]) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = load(card_for("tiny-qwen2.5-vl"), "cpu")
        params = FULL.model_copy(update={"gradient_checkpointing": checkpointing})
        with adapted(model, params, seed=0) as trainee:
            calls: list[int] = []
            layer = model.language_model().layers[0].self_attn.q_proj
            hook = layer.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
            Unlearning(trainee).nll(few).backward()
            hook.remove()
            assert len(calls) == (2 if checkpointing else 1)
            gradients.append([p.grad.clone() for p in trainee.parameters])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_targets_choose_layers_and_a_wrong_one_is_named(model: VLM) -> None:
    layers = len(model.language_model().layers)
    chosen = target_layers(model, LoRAParams(targets=("q_proj", "down_proj")))
    assert len(chosen) == 2 * layers
    assert {name.rpartition(".")[2] for name in chosen} == {"q_proj", "down_proj"}
    with pytest.raises(UsageError, match=r"lora\.targets: no layer .* 'query'; choose from down_proj, gate_proj"):
        target_layers(model, LoRAParams(targets=("query",)))


def test_kl_of_the_state_is_the_loss_of_its_log_distributions(model: VLM, few: list[Sample]) -> None:
    batch = model.prepare(few, [sample.answer for sample in few])
    before = model.answer_log_distributions(batch)
    chosen = [row.gather(1, ids[:, None])[:, 0] for row, ids in zip(before, _targets(batch), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(chosen, model.answer_log_probabilities(batch), strict=True))
    with adapted(model, LORA, seed=0) as trainee:
        step(trainee.parameters)
        model.model.eval()
        now = model.answer_log_distributions(batch)
        assert torch.equal(Unlearning(trainee).kl(few), kl_from_reference(now, before).mean())
        assert torch.equal(Unlearning(trainee).nll(few), answer_nll(model.answer_log_probabilities(batch)).mean())


def _targets(batch: object) -> Iterator[torch.Tensor]:
    for ids, mask in zip(batch.input_ids, batch.answer_mask, strict=True):  # type: ignore[attr-defined]
        yield ids[mask]


def real_qwen() -> tuple[nn.Module, list[str]]:
    """Qwen2.5-VL-7B at its real size, without memory for it."""
    text = {
        "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }  # fmt: skip
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
    with torch.device("meta"):
        model = Qwen._from_config(Qwen2_5_VLConfig(text_config=text, vision_config=vision))
    # The contract's own answer, from an instance that skips what needs a processor.
    vlm = object.__new__(Qwen2_5_VL)
    vlm.model = model
    return model, target_layers(vlm, LoRAParams(projector=True))


def real_mllama() -> tuple[nn.Module, list[str]]:
    """Llama-3.2-11B-Vision likewise; its family is not supported yet, so the names come from the rule itself."""
    with torch.device("meta"):
        model = MllamaForConditionalGeneration._from_config(MllamaConfig())
    projector = linears_within(model, nn.ModuleList([model.model.multi_modal_projector]))
    return model, linears_within(model, model.get_decoder().layers) + projector


@pytest.mark.parametrize(
    ("build", "tower", "projector", "parameters", "layers"),
    [
        (real_qwen, "model.visual.blocks", "model.visual.merger", 8.29e9, 28 * 7),
        (real_mllama, "model.vision_model", "model.multi_modal_projector", 10.67e9, 40 * 7),
    ],
)
def test_at_real_size_no_vision_layer_is_adapted(
    build: object, tower: str, projector: str, parameters: float, layers: int
) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model, targets = build()  # type: ignore[operator]
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=0.005)
    inject_adapter_in_model(LoraConfig(r=8, target_modules=targets), model, low_cpu_mem_usage=True)
    adapted_layers = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name}
    assert adapted_layers == set(targets)
    assert not any(name.startswith(tower) for name in adapted_layers)
    in_projector = {name for name in adapted_layers if name.startswith(projector)}
    assert in_projector
    assert len(adapted_layers - in_projector) == layers
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(".lora_" in name for name in trained)


@pytest.mark.parametrize("params", [FULL, LORA, BESIDE], ids=["full", "lora", "lora beside a full projector"])
def test_a_half_precision_model_is_trained_in_full_precision(few: list[Sample], params: FinetuneParams) -> None:
    """On a GPU weights are in bfloat16, in which an update of 1e-5 would be lost."""
    tiny = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model = type(tiny)(tiny.model.to(torch.bfloat16), tiny.processor)
    with adapted(model, params, seed=0) as trainee:
        assert {parameter.dtype for parameter in trainee.parameters} == {torch.float32}
        trainee.remember()
        state = Unlearning(trainee)
        (state.nll(few[:1]) + state.kl(few[1:2])).backward()
        assert all(torch.isfinite(p.grad).all() for p in trainee.parameters if p.grad is not None)
        step(trainee.parameters, 0.001)
    edit = trainee.edit()
    assert {p.dtype for n, p in model.model.named_parameters() if "lora" not in n} == {torch.bfloat16}
    assert edit.trainable_parameters > 0
    assert all(torch.isfinite(values).all() for values in answers(model, few[:1]))


# ------------------------------------------------------------------------------------------------ what prompts share
def lora(**settings: Any) -> FinetuneParams:
    return FinetuneParams(
        lora=LoRAParams(rank=4, alpha=8, dropout=settings.pop("dropout", 0.0), projector=settings.pop("beside", False)),
        **settings,
    )


PACKED = {
    "full": FULL,
    "full, checkpointing": FinetuneParams(full=True, gradient_checkpointing=True),
    "lora": lora(),
    "lora, checkpointing": lora(gradient_checkpointing=True),
    "lora and projector": lora(beside=True),
}


def read(model: VLM) -> list[int]:
    """Grows by the number of rows whenever the language model's first block reads some."""
    counts: list[int] = []
    block = model.language_model().layers[0]  # type: ignore[index,union-attr]
    block.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda _, args, kwargs: counts.append(len(args[0] if args else kwargs["hidden_states"])),
        with_kwargs=True,
    )
    return counts


@pytest.mark.parametrize("params", PACKED.values(), ids=[*PACKED])
@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
def test_gradients_of_packed_questions_are_those_of_rows_read_one_by_one(
    name: str, params: FinetuneParams, people: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions on a picture of three people, every third of each, and one more; each against the plain way."""
    samples = [*people.others[:15:3], *people.others[20:38:3], people.others[40], *people.others[60:69:3]]
    gradients, rows = [], []
    for packs in (True, False):
        model = load(card_for(name), "cpu")
        counts = read(model)
        with adapted(model, params, seed=0) as trainee:
            monkeypatch.setattr(trainee, "packs", lambda batch, visual, packs=packs: packs)
            trainee.remember()
            step(trainee.parameters)
            state = Unlearning(trainee)
            (state.nll(samples) + state.kl(samples)).backward()  # type: ignore[no-untyped-call]
            gradients.append([parameter.grad for parameter in trainee.parameters])
        rows.append(sum(counts))
    assert rows == [3 * 4, 3 * len(samples)]  # what it says, before and now, and the loss
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-6)


def test_a_batch_is_packed_where_that_is_worth_it(model: VLM, people: Sets) -> None:
    """Whatever else is set; not where few share a picture, nor in a family that cannot."""
    on_one_picture, alone = people.others[:20:3], [*people.others[:2], *people.others[20:60:20]]
    for params in (lora(dropout=0.1), lora(gradient_checkpointing=True), FULL):
        with adapted(load(card_for("tiny-qwen2.5-vl"), "cpu"), params, seed=0) as trainee:
            one, other = (trainee.model.prepare(samples) for samples in (on_one_picture, alone))
            assert trainee.packs(one, trainee.look(one))
            assert not trainee.packs(other, trainee.look(other))
            assert not trainee.packs(one, [tokens.clone() for tokens in trainee.look(one)])  # as edits may leave them
            trainee.model.packs = False
            assert not trainee.packs(one, trainee.look(one))


def test_with_dropout_a_packed_question_is_read_as_it_might_be_alone(people: Sets) -> None:
    """Mean and spread of a question's loss over many draws are those of the plain way."""
    samples, draws = people.others[:4:2], 40
    with adapted(load(card_for("tiny-qwen2.5-vl"), "cpu"), lora(dropout=0.5), seed=0) as trainee, torch.no_grad():
        step(trainee.parameters, 0.05)
        batch = trainee.model.prepare(samples, [sample.answer for sample in samples])
        found = [
            torch.stack(
                [answer_nll(trainee.model.answer_log_probabilities(batch, packed=packed)) for _ in range(draws)]
            )
            for packed in (False, True)
        ]
    spread = found[0].std(0)
    assert (spread > 0.01).all()
    assert ((found[0].mean(0) - found[1].mean(0)).abs() < 4 * spread * (2 / draws) ** 0.5).all()
    assert (found[1].std(0) / spread - 1).abs().max() < 0.4


@pytest.mark.parametrize("several", [(3, 3), (1, 8, 1, 1)], ids=["even", "uneven"])
def test_what_is_spared_is_beginnings_but_one_a_picture(several: tuple[int, ...], model: VLM, people: Sets) -> None:
    """Of real tokens; or of padded rows where that is less, as where one picture has most of the questions."""
    samples = [people.others[20 * who + which] for who, number in enumerate(several) for which in range(number)]
    batch = model.prepare(samples, [sample.answer for sample in samples])
    rows, packed = list[int](), dict[Path, int]()
    for row, sample in enumerate(samples):
        ids = batch.input_ids[row][batch.attention_mask[row].bool()].tolist()
        rows.append(len(ids))
        rest = ids[::-1].index(model.image_token_id)
        packed[sample.image] = packed.get(sample.image, len(ids) - rest) + rest
    real = 1 - sum(packed.values()) / sum(rows)
    padded = 1 - len(packed) * max(packed.values()) / (len(rows) * max(rows))
    assert (padded < 0 < real) == (several != (3, 3))
    assert model.spared(batch, model.look(batch)) == pytest.approx(min(real, padded))


@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
def test_a_full_projector_is_trained_whole_beside_the_adapter(name: str, people: Sets) -> None:
    """As in FIUBench's scripts: every weight of the projector, low-rank updates on the language model alone."""
    model, few = load(card_for(name), "cpu"), [people.forget[0], people.others[3]]
    inside = {parameter.numel() for parameter in model.projector_parameters().values()}
    whole = sum(parameter.numel() for parameter in model.projector_parameters().values())
    layers, modules = model.language_linears(), dict(model.model.named_modules())
    low_rank = sum(4 * sum(modules[layer].weight.shape) for layer in layers)
    with adapted(model, BESIDE, seed=0) as trainee:
        assert sum(parameter.numel() for parameter in trainee.parameters) == low_rank + whole
        Unlearning(trainee).nll(few).backward()
        trained = {n: p for n, p in model.model.named_parameters() if p.requires_grad and ".lora_" not in n}
        assert {parameter.numel() for parameter in trained.values()} == inside
        assert all(p.dtype == torch.float32 and float(p.grad.abs().sum()) > 0 for p in trained.values())
        assert not any("visual.blocks" in n or "vision_model" in n for n in trained)
