"""Fewer bits: rounding against one computed apart, codes of what did not change, and an update that rounding undoes."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from tests.attacks.aimed import Aimed
from unlearnbench import VLM, Run, UsageError
from unlearnbench.analysis.attacks.shares import Three, share
from unlearnbench.attacks.quantise import Quantise
from unlearnbench.attacks.quantise.rounding import Quantised, codes_changed, quantisable, quantised, restored
from unlearnbench.models.contract.edits import Adapter, Trained
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack

GROUP = 32


def attack(**params: Any) -> Quantise:
    return Quantise(Quantise.Params(**({"group": GROUP} | params)))


def fresh() -> VLM:
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


def fiubench() -> Any:
    kind = tasks.get("fiubench")
    return kind(kind.Options(max_new_tokens=24))


def test_it_keeps_the_contract() -> None:
    check_attack("quantise")


# -------------------------------------------------------------------------------------------------------- rounding
def by_hand(weight: np.ndarray[Any, Any], bits: int, group: int) -> tuple[list[list[int]], np.ndarray[Any, Any]]:
    """Codes by row, and the rounded weight: number by number, halves to even as everywhere in Python."""
    codes, rounded, most = [], np.zeros_like(weight, dtype=np.float64), 2 ** (bits - 1) - 1
    for row in range(weight.shape[0]):
        own = []
        for start in range(0, weight.shape[1], group):
            part = [float(value) for value in weight[row, start : start + group]]
            scale = np.float32(max(abs(value) for value in part)) / np.float32(most)
            for place, value in enumerate(part, start=start):
                code = round(float(np.float32(value) / scale)) if scale else 0
                own.append(code)
                rounded[row, place] = code * float(scale)
        codes.append(own)
    return codes, rounded


@pytest.mark.parametrize(("bits", "columns"), [(8, 64), (4, 70), (3, 5)])
def test_rounding_is_to_the_nearest_of_each_groups_own_steps(bits: int, columns: int) -> None:
    weight = torch.randn(6, columns, generator=torch.Generator().manual_seed(bits))
    weight[2, :GROUP] = 0
    codes, scale = quantised(weight, bits, GROUP)
    wanted, rounded = by_hand(weight.numpy(), bits, GROUP)
    assert codes.flatten(1)[:, :columns].tolist() == wanted
    assert restored(codes, scale, columns).numpy() == pytest.approx(rounded, rel=1e-6, abs=1e-9)
    assert codes.abs().max() == 2 ** (bits - 1) - 1
    again, _ = quantised(restored(codes, scale, columns), bits, GROUP)
    assert torch.equal(again, codes)  # a rounded weight keeps its codes


def test_the_language_models_linear_layers_are_rounded_and_nothing_else() -> None:
    model, before = fresh(), fresh()
    Quantised(4, GROUP).apply(model)
    changed = {
        name
        for (name, own), other in zip(model.model.named_parameters(), before.model.parameters(), strict=True)
        if not torch.equal(own, other)
    }
    assert changed == {f"{name}.weight" for name, _ in quantisable(before)}
    assert changed
    assert not any(part in name for name in changed for part in ("visual", "embed", "lm_head", "norm"))


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    Quantised(4, GROUP).save(tmp_path)
    one, other = fresh(), fresh()
    Quantised(4, GROUP).apply(one)
    Quantised.load(tmp_path, other).apply(other)
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


# ----------------------------------------------------------------------------------------------------------- codes
@pytest.mark.parametrize("bits", [8, 4])
def test_of_an_unchanged_model_no_code_is_another(bits: int) -> None:
    model = fresh()
    Quantised(bits, GROUP).apply(model)
    changed, of = codes_changed(model, fresh(), bits, GROUP)
    assert changed == 0
    assert of == sum(weight.numel() for _, weight in quantisable(model))


def test_changed_codes_are_counted() -> None:
    model = fresh()
    name, weight = quantisable(model)[0]
    with torch.no_grad():
        row = weight[0, :GROUP]
        place = int(row.abs().argmin())
        row[place] += row.abs().max() * 0.9  # the group's largest stays the largest
    Quantised(4, GROUP).apply(model)
    assert codes_changed(model, fresh(), 4, GROUP)[0] == 1, name


# ------------------------------------------------------------------------------------------------ a planted update
class Sets(Aimed):
    """Aimed at samples of one's choice."""

    @property
    def victims(self) -> Any:
        return self.data.sets.acquaintances[:CHOSEN]


CHOSEN = 12


def right(made: Quantise, records: Sequence[Mapping[str, Any]]) -> list[float]:
    return made.values(fiubench(), records)["forget.exact_match"][records[0]["unique_id"]]


def rounding_cell(weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Between which values every number of a weight keeps its code; the largest of a group, its scale, may not move."""
    codes, scale = quantised(weight, bits, GROUP)
    wide = torch.where(codes.abs() == codes.abs().amax(-1, keepdim=True), 0.0, 0.45)
    low, high = ((codes + side * wide) * scale for side in (-1, 1))
    own = torch.nn.functional.pad(weight, (0, -weight.shape[1] % GROUP)).view_as(codes)
    low, high = torch.minimum(low, own), torch.maximum(high, own)
    still = codes.abs() == codes.abs().amax(-1, keepdim=True)
    low, high = torch.where(still, own, low), torch.where(still, own, high)
    return tuple(each.flatten(1)[:, : weight.shape[1]] for each in (low, high))  # type: ignore[return-value]


def planted(samples: Sequence[Any], size: float) -> VLM:
    """The model after an update of at most ``size`` a number that makes true answers unlikely, within 4 bits' cells."""
    model = fresh()
    weights = [weight for _, weight in quantisable(model)]
    bounds = []
    for weight in weights:
        low, high = rounding_cell(weight.detach(), 4)
        bounds.append((torch.maximum(low, weight.detach() - size), torch.minimum(high, weight.detach() + size)))
        weight.requires_grad_(True)
    batch = model.prepare(samples, [sample.answer for sample in samples])
    for _ in range(8):
        loss = -torch.cat(model.answer_log_probabilities(batch)).mean()
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient, (low, high) in zip(weights, gradients, bounds, strict=True):
                weight.copy_(torch.minimum(torch.maximum(weight + size / 4 * gradient.sign(), low), high))
    for weight in weights:
        weight.requires_grad_(False)
    return model


def test_an_update_that_4_bits_undo_is_found(small_data: Path) -> None:
    """Unlearning by numbers as small as noise: it says nothing of what it knew, until it is rounded."""
    task, made = fiubench(), attack()
    data = task.load(str(small_data), 1)
    known = data.sets.acquaintances[:CHOSEN]
    update = planted(known, 2e-3)
    target = Sets(made, task, data, others={"base": fresh})

    def asked(model: VLM, variant: str) -> list[dict[str, Any]]:
        if variant:
            made.change(model, data.sets, Run())[variant].apply(model)
        return made.ask(model, Sets(made, task, data, others={"base": fresh}, variant=variant), Run())[""]  # type: ignore[arg-type]

    base, clean = asked(fresh(), ""), asked(update, "")
    assert np.mean(right(made, base)) >= 0.9
    assert np.mean(right(made, clean)) <= 0.3, "it seems to have forgotten"
    largest = max(
        float((own - other).abs().max())
        for (_, own), (_, other) in zip(quantisable(update), quantisable(fresh()), strict=True)
    )
    assert 0 < largest <= 2.001e-3
    found = {bits: asked(planted(known, 2e-3), f"{bits} bits") for bits in (8, 4)}
    told = {bits: made.measured(task, records)["quantise.codes_changed"].value for bits, records in found.items()}
    assert told[4] == 0
    assert 0.05 < (told[8] or 0) < 1
    bare = asked(fresh(), "4 bits")
    assert right(made, found[4]) == right(made, bare)
    never = {"forget.exact_match": {known[0].cluster: [0.0] * CHOSEN}}

    def left(own: Any, nothing: Any) -> float | None:
        three = Three(made.values(task, own), made.values(task, nothing), never)
        return share(three, ("forget.exact_match",), two_sided=False, seed=0).value

    assert (left(clean, base) or 0) >= 0.6  # as it is, most is forgotten
    assert left(found[4], bare) == 0.0  # at 4 bits nothing is
    assert target.sets is data.sets


# ------------------------------------------------------------------------------------------------- in half precision
def half() -> VLM:
    return load(card_for("tiny-qwen2.5-vl"), "cpu", "bfloat16")


def planted_adapter(folder: Path, steps: float) -> Path:
    """An adapter that moves one row of a layer by so many steps of bfloat16 a number, the group's largest aside."""
    model = half()
    name, weight = quantisable(model)[0]
    row = weight[0].detach().float()
    step = 2.0 ** (torch.floor(torch.log2(row.abs())) - 7)
    still = quantised(weight[:1], 8, GROUP)[0].flatten(1)[0, : len(row)].abs() == 127
    peft = get_peft_model(model.model, LoraConfig(r=1, lora_alpha=1, target_modules=[name]))
    layer = peft.get_base_model().get_submodule(name)
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(torch.where(still, 0.0, steps * step * row.sign())[None])
        layer.lora_B["default"].weight.zero_()[0] = 1.0
    folder.mkdir()
    Adapter(peft).save(folder)
    return folder


@pytest.mark.parametrize(
    ("steps", "lost_in_half", "codes"),
    [
        (0.4, True, {8: True}),  # to the nearest of bfloat16 it is nothing, and yet 8 bits keep some of it
        (1.0, False, {8: True}),
        (0.4, True, {2: False}),  # what rounding undoes it undoes
    ],
)
def test_what_half_precision_undoes_is_not_what_fewer_bits_undo(
    steps: float, lost_in_half: bool, codes: dict[int, bool], tmp_path: Path
) -> None:
    folder, base = planted_adapter(tmp_path / "adapter", steps), half()
    merged = half()
    Trained.load(folder, merged).merge(merged)
    same = all(torch.equal(own, other) for own, other in zip(weights_of(merged), weights_of(base), strict=True))
    assert same is lost_in_half
    for bits, kept in codes.items():
        model = half()
        Trained.load(folder, model).apply(model)
        Quantised(bits, GROUP).apply(model)
        changed, of = codes_changed(model, base, bits, GROUP)
        assert of == sum(weight.numel() for weight in weights_of(base)), "the adapter is no layer any more"
        assert (changed > 0) is kept
        total = weights_of(base)[0].float()
        total[0] += adapter_row(folder)
        assert torch.equal(weights_of(model)[0], restored(*quantised(total, bits, GROUP), total.shape[1]).bfloat16())


def weights_of(model: VLM) -> list[torch.Tensor]:
    return [weight.detach() for _, weight in quantisable(model)]


def adapter_row(folder: Path) -> torch.Tensor:
    stored = load_file(folder / "adapter_model.safetensors")
    return next(each[0] for name, each in stored.items() if "lora_A" in name)


# --------------------------------------------------------------------------------------------------- libraries' routes
def test_bitsandbytes_has_four_bits_alone() -> None:
    assert attack(route="bnb-nf4").params.bits == (4,)
    with pytest.raises(ValueError, match="route=bnb-nf4 has 4 bits alone: leave bits out"):
        attack(route="bnb-nf4", bits=(8,))


@pytest.mark.parametrize("bits", [0, 1, 17])
def test_a_weight_has_some_bits(bits: int) -> None:
    with pytest.raises(ValueError, match="a weight has 2 to 16 bits"):
        attack(bits=(8, bits))


@pytest.mark.parametrize(("route", "name"), [("bnb-nf4", "bitsandbytes"), ("torchao", "torchao")])
def test_a_library_that_is_not_there_is_named(route: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(UsageError, match=rf"needs {name}, .*pip install 'unlearnbench\[{name}\]'"):
        attack(route=route).change(fresh(), None, Run())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("route", "name"), [("bnb-nf4", "bitsandbytes"), ("bnb-fp4", "bitsandbytes"), ("torchao", "torchao")]
)
def test_libraries_round_group_by_group(route: Any, name: str) -> None:
    """No number is off by more than half the widest step of 4 bits, however groups lie in rows."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    weight = torch.randn(48, 96, generator=torch.Generator().manual_seed(0))
    for group in (32, 64):
        rounded = Quantised(4, group, route).rounded(weight)
        parts = torch.nn.functional.pad(weight, (0, -96 % group)).view(48, -1, group)
        widest = 0.34 if route == "bnb-fp4" else 0.16  # half the largest gap between two codes, of the largest number
        bound = (widest * parts.abs().amax(-1, keepdim=True)).expand_as(parts).flatten(1)[:, :96]
        assert rounded.shape == weight.shape
        assert bool(((rounded - weight).abs() <= bound + 1e-6).all())
        levels = {len({round(float(v), 6) for v in row}) for row in rounded[:, :32]}
        assert max(levels) <= 16
