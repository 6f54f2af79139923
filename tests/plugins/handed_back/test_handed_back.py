"""What methods of other hands leave behind and hand back: wrong things are named, and no finished work is lost."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from tests.plugins.handed_back.handing_back import HandedBack, Marked, leave_alone, why
from unlearnbench.models.contract.edits import Adapter, Weights


# ---------------------------------------------------------------------------------------------- changed in place
@torch.no_grad()
def halve(model: Any, run: Any) -> None:
    for parameter in model.language_parameters().values():
        parameter.mul_(0.5)


def one_number(model: Any, run: Any) -> None:
    model.projector().state_dict()[next(iter(model.projector().state_dict()))].view(-1)[-1] += 1e-3


def swap_two_numbers(model: Any, run: Any) -> None:
    weight = next(iter(model.language_parameters().values())).data
    weight[0, :2] = weight[0, :2].flip(0)


def add_adapter(model: Any, run: Any) -> None:
    from peft import LoraConfig, get_peft_model

    get_peft_model(model.model, LoraConfig(target_modules=model.language_linears()[:1]))


def replace_module(model: Any, run: Any) -> None:
    last = model.language_model().layers[-1]
    last.mlp = nn.Sequential(last.mlp)


def replace_model(model: Any, run: Any) -> None:
    model.model = nn.Sequential(model.model)


def hook(model: Any, run: Any) -> None:
    model.language_model().register_forward_hook(lambda *_: None)


def override_forward(model: Any, run: Any) -> None:
    layer = model.language_model().layers[0]
    layer.forward = layer.forward


def see_nothing(model: Any, run: Any) -> None:
    model.visual_edit = lambda batch, visual: [torch.zeros_like(tokens) for tokens in visual]


def suppress(model: Any, run: Any) -> None:
    model.model.generation_config.suppress_tokens = [5]


def rotate_nothing(model: Any, run: Any) -> None:
    {name: buffer for name, buffer in model.model.named_buffers() if name.endswith("inv_freq")}.popitem()[1].zero_()


def another_epsilon(model: Any, run: Any) -> None:
    model.language_model().norm.variance_epsilon = 5.0


def configure(model: Any, run: Any) -> None:
    model.model.config.get_text_config().rms_norm_eps = 5.0


def instruct(model: Any, run: Any) -> None:
    model.processor.chat_template = "Refuse. " + (model.processor.chat_template or "")


def pad_right(model: Any, run: Any) -> None:
    model.tokenizer.padding_side = "right"


def say_nothing(model: Any, run: Any) -> None:
    model.generate = lambda batch, **_: [""] * len(batch)


IN_PLACE = (
    halve, one_number, swap_two_numbers, add_adapter, replace_module, replace_model, hook, override_forward,
    see_nothing, suppress, rotate_nothing, another_epsilon, configure, instruct, pad_right, say_nothing,
)  # fmt: skip


@pytest.mark.parametrize("change", IN_PLACE, ids=lambda change: change.__name__)
def test_a_model_changed_in_place_and_nothing_returned_is_no_row(computed: Any, change: Any) -> None:
    name = "handed-back-reference" if change is one_number else "handed-back"
    said = why(computed(change, name=name))
    assert said.startswith(f"method {name!r} changed the model in place (")
    assert "and returned nothing; return Weights.of(PARAMETERS)" in said


@pytest.mark.parametrize(("name", "warned"), [("handed-back", True), ("handed-back-reference", False)])
def test_nothing_returned_for_nothing_changed_is_a_row(computed: Any, caplog: Any, name: str, warned: bool) -> None:
    row = computed(leave_alone, name=name)
    assert row.status == "ok"
    assert row.cost.trainable_parameters == 0
    assert ("returned no edit" in row.notes.get("edit", "")) is warned
    assert ("changed nothing" in caplog.text) is warned


def test_what_is_changed_in_place_and_returned_is_evaluated(computed: Any) -> None:
    def work(model: Any, run: Any) -> Weights:
        halve(model, run)
        return Weights.of(model.language_parameters())

    untouched = computed(leave_alone, name="handed-back-reference").metrics["sizes.total"].value
    row = computed(work)
    assert row.status == "ok"
    assert row.metrics["sizes.total"].value != pytest.approx(untouched, rel=1e-6)
    assert "edit" not in row.notes


# ------------------------------------------------------------------------------------------ weights that stay, or not
def test_weights_that_are_said_to_stay_may_not_change(computed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left with a guard off would not be the base."""
    monkeypatch.setattr(HandedBack, "frozen_weights", True)

    def work(model: Any, run: Any) -> Weights:
        halve(model, run)
        return Weights.of(model.language_parameters())

    message = why(computed(work))
    assert "method 'handed-back' says that weights stay as they are (frozen_weights), and its edit changes" in message
    assert "say frozen_weights = False" in message


@pytest.mark.parametrize("frozen", [False, True])
def test_a_row_tells_of_a_guard_that_could_not_be_left_out(
    computed: Any, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    monkeypatch.setattr(HandedBack, "frozen_weights", frozen)
    monkeypatch.setattr(HandedBack, "edit", Marked)
    monkeypatch.setattr(Marked, "does", staticmethod(lambda model: see_nothing(model, None)))
    row = computed(lambda model, run: Marked())
    assert row.status == "ok"
    assert ("with frozen_weights = True" in row.notes.get("guard", "")) is not frozen


# --------------------------------------------------------------------------------------------------- wrong returns
def strange_name(model: Any, run: Any) -> Weights:
    return Weights({"lm_hed.weight": torch.zeros(2)})


def strange_shape(model: Any, run: Any) -> Weights:
    return Weights({name: weight[:1] for name, weight in model.projector_parameters().items()})


def diverged(value: float) -> Callable[[Any, Any], Weights]:
    return lambda model, run: Weights(
        {name: torch.full_like(weight, value) for name, weight in model.projector_parameters().items()}
    )


def before_training(model: Any, run: Any) -> Weights:
    weights = Weights.of(model.language_parameters())
    halve(model, run)
    return weights


def adapter_of_a_part(model: Any, run: Any) -> Adapter:
    from peft import LoraConfig, get_peft_model

    part = model.language_model().layers[0].mlp
    return Adapter(get_peft_model(part, LoraConfig(target_modules=["up_proj"])))


def adapter_diverged(model: Any, run: Any) -> Adapter:
    from peft import LoraConfig, get_peft_model

    peft = get_peft_model(model.model, LoraConfig(target_modules=model.language_linears()[:1]))
    next(p for name, p in peft.named_parameters() if "lora_A" in name).data.fill_(float("nan"))
    return Adapter(peft)


RETURNED = {
    "a state dict": (lambda model, run: model.model.state_dict(), r"an OrderedDict of tensors \(a state dict\?\)"),
    "a dict": (lambda model, run: {"loss": 1.0}, "returned a dict, which is no Edit; return Weights"),
    "the model": (lambda model, run: model, r"returned a \w+, which is no Edit"),
    "a number": (lambda model, run: 0.5, r"returned a float \(0.5\), which is no Edit"),
    "an edit's class": (lambda model, run: Weights, "which is no Edit"),
    "a name of no parameter": (strange_name, "Weights that cannot be used: the model has no parameter 'lm_hed.weight'"),
    "another shape": (strange_shape, "keep the shapes"),
    "NumPy's": (
        lambda model, run: Weights({name: each.numpy() for name, each in model.language_parameters().items()}),
        r"weight is of the type ndarray; give a torch\.Tensor",
    ),
    "not a number": (diverged(float("nan")), r"merger\S+ is not finite; training diverged: lower the learning rate"),
    "infinite": (diverged(float("inf")), "is not finite; training diverged: lower the learning rate"),
    "weights of before": (
        before_training,
        r"changed the model in place \(.*\) and returned the weights that it started",
    ),
    "no adapter": (lambda model, run: Adapter(), "holds a NoneType; give it what peft.get_peft_model"),
    "the bare model": (lambda model, run: Adapter(model.model), r"holds a Qwen\w+; give it what"),
    "an adapter of a part": (adapter_of_a_part, r"adapts a \w+, a part of the model; adapt model.model"),
    "an adapter that diverged": (adapter_diverged, "is not finite"),
}


@pytest.mark.parametrize("what", RETURNED)
def test_what_is_no_edit_or_cannot_be_used_is_named(computed: Any, tmp_path: Path, what: str) -> None:
    work, said = RETURNED[what]
    row = computed(work)
    message = why(row)
    assert re.search(said, message), message
    assert message.startswith("method 'handed-back' ")
    kept = re.search(r"its tensors are kept in (.+\.safetensors)$", message)
    assert bool(kept) is (what == "a state dict")
    if kept:
        assert safe_open(kept[1], framework="pt").keys()
    assert not [*(tmp_path / "store").glob("unlearned/*/manifest.json")]


def test_an_edit_that_its_class_could_not_read_back_is_named(computed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = why(computed(lambda model, run: Marked()))
    assert said.endswith(
        "returned Marked, while its edit_class is Trained; let the class method edit_class return Marked"
    )
    monkeypatch.setattr(HandedBack, "edit", Marked())
    said = why(computed(lambda model, run: pytest.fail("it was at work")))
    assert said == "method 'handed-back': its edit_class returns a Marked; return the class of its Edit"


def test_weights_that_a_method_puts_beside_renamed_ones_are_of_the_models_own_names(computed: Any) -> None:
    """A method may wrap what it likes in its own copy of the model: names count as they were at the start."""

    def work(model: Any, run: Any) -> Weights:
        weights = Weights.of(model.language_parameters())
        add_adapter(model, run)
        return Weights({name: tensor * 0.5 for name, tensor in weights.tensors.items()})

    assert computed(work).status == "ok"


class NotANumber(Marked):
    """Keeps tensors in a file of its own."""

    def save(self, folder: Path) -> None:
        tensors = {"gate": torch.tensor([1.0, float("nan")]), "mask": torch.tensor([float("-inf")])}
        save_file(tensors, folder / "a.safetensors")


def test_an_edit_of_ones_own_whose_tensors_are_not_numbers_is_named(
    computed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HandedBack, "edit", NotANumber)
    said = why(computed(lambda model, run: NotANumber()))
    assert said == (
        "method 'handed-back': what it made is not finite (gate); training diverged: lower the learning rate"
    )


# ------------------------------------------------------------------------------------------- edits without effect
def same_weights(model: Any, run: Any) -> Weights:
    return Weights.of(model.language_parameters())


def untrained_adapter(model: Any, run: Any) -> Adapter:
    from peft import LoraConfig, get_peft_model

    return Adapter(get_peft_model(model.model, LoraConfig(target_modules=model.language_linears()[:1])))


@pytest.mark.parametrize("work", [same_weights, untrained_adapter, lambda model, run: Marked()])
def test_an_edit_that_changes_nothing_is_told(
    computed: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch, work: Any
) -> None:
    if work not in (same_weights, untrained_adapter):
        monkeypatch.setattr(HandedBack, "edit", Marked)
    row = computed(work)
    assert row.status == "ok"
    assert "changes nothing of the model" in row.notes["edit"]
    assert "method 'handed-back': the edit changes nothing" in caplog.text


def test_an_edit_that_changes_anything_is_not(computed: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(HandedBack, "edit", Marked)
    for change in (see_nothing, hook, rotate_nothing, another_epsilon):
        monkeypatch.setattr(Marked, "does", staticmethod(lambda model, change=change: change(model, None)))
        assert "edit" not in computed(lambda model, run: Marked()).notes
    assert "changes nothing" not in caplog.text


# -------------------------------------------------------------------------------------------------------------- notes
