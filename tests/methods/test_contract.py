"""All methods that ship pass the checks that others run on theirs; and the checks see what is wrong."""

from typing import Any

import pytest
import torch

from unlearnbench import Edit, Method, PairedMethod, Params, UnlearnParams, Weights
from unlearnbench.errors import PluginError, UsageError
from unlearnbench.registry import methods
from unlearnbench.testing import CheckError, check_method

FEW: dict[str, dict[str, Any]] = {"cagul": {"epochs": 40, "discriminator_epochs": 1, "threshold": 0.01}}
"""An untrained discriminator is sure of nothing, and pictures that it does not flag are left as they are."""
OURS = [name for name in methods.names() if methods.origin(name).startswith("unlearnbench")]


@pytest.mark.parametrize("name", OURS)
def test_a_method_that_ships_is_one(name: str) -> None:
    check_method(name, FEW.get(name))


class Noise(Method):
    """Adds to the projector what nobody has seeded."""

    name = "noise"

    def unlearn(self, model: Any, sets: Any, run: Any) -> Edit | None:
        return Weights({name: p + torch.randn_like(p) / 50 for name, p in model.projector_parameters().items()})


class Idle(Noise):
    """Does nothing at all."""

    def unlearn(self, model: Any, sets: Any, run: Any) -> Edit | None:
        return None


class Disguised(Noise):
    """Says that weights stay, and changes them."""

    frozen_weights = True


class Undescribed(Noise):
    """Has a parameter of which nothing is said."""

    class Params(Params):
        strength: float = 1.0


class Unnamed(PairedMethod):
    """Has forgotten its decorator."""

    Params = UnlearnParams

    def loss(self, state: Any, batch: Any) -> dict[str, torch.Tensor]:
        return {"forget": -state.nll(batch.forget)}


class Continuing(Noise):
    """Goes on with another's model, and has no parameter to say whose."""

    start = "unlearned"


class OnePicture(PairedMethod):
    """Takes every query for one about a picture."""

    name = "one-picture"
    Params = UnlearnParams

    def loss(self, state: Any, batch: Any) -> dict[str, torch.Tensor]:
        assert all(len(sample.images) == 1 for sample in batch.forget)
        return {"forget": -state.nll(batch.forget)}


class Validated(Noise):
    """Cannot do without a validation set."""

    def unlearn(self, model: Any, sets: Any, run: Any) -> Edit | None:
        own = model.projector_parameters()
        return Weights({name: p + len(sets.validation[0].answer) for name, p in own.items()})


class HeldOut(Noise):
    """Would look at those who are held out."""

    def unlearn(self, model: Any, sets: Any, run: Any) -> Edit | None:
        own = model.projector_parameters()
        return Weights({name: p + len(sets.held_out[0].answer) for name, p in own.items()})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Continuing, 'method noise: its Params should be a subclass of unlearnbench.Continued if start is "unlearned"'),
        (Validated, "method noise: where nobody is held out or for validation, and .* it stops with IndexError"),
        (Noise, "method noise: the same seed should give the same edit"),
        (Idle, "method noise: it changed nothing"),
        (Disguised, "method noise: frozen_weights says that weights stay"),
        (Undescribed, "method noise: parameter strength should have a default and a description"),
        (Unnamed, "method Unnamed: give it a name"),
    ],
)
def test_what_is_wrong_is_said(kind: type[Method], words: str) -> None:
    with pytest.raises(CheckError, match=words):
        check_method(kind)


def test_nobody_is_held_out_before_a_methods_eyes() -> None:
    with pytest.raises(IndexError):
        check_method(HeldOut)


def test_a_query_without_a_picture_reaches_every_method() -> None:
    with pytest.raises(AssertionError) as stopped:
        check_method(OnePicture)
    assert not isinstance(stopped.value, CheckError)


def test_parameters_that_train_nothing_are_refused_at_the_door() -> None:
    with pytest.raises(PluginError, match=r"Paired trains by its Params.*class Params\(UnlearnParams\)"):
        type("Paired", (PairedMethod,), {"Params": Params})


class FewAnswers(OnePicture):
    """Weighs one answer for all."""

    def loss(self, state: Any, batch: Any) -> dict[str, torch.Tensor]:
        return {"forget": state.nll(batch.forget, ["no"])}


def test_an_answer_for_every_query_is_asked_for() -> None:
    with pytest.raises(UsageError, match="4 queries and 1 answers; give an answer for each"):
        check_method(FewAnswers)
