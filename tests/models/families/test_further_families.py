"""What every further family of the early kind does beside what `check_family` asks of all."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.models.tiny_families import FAMILIES, resized, save
from unlearnbench.contracts.sample import Asked, Sample
from unlearnbench.errors import ModelError
from unlearnbench.methods.cagul.edit import Guard
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.runtime.device import DTYPES
from unlearnbench.training.adaptation import projectors


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VLM:
    """A random model of each family, loaded from its files; for reading only."""
    folder = tmp_path_factory.mktemp("models") / request.param
    save(request.param, folder)
    return load(card_for(str(folder)), "cpu")


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Questions of different lengths on pictures of different shapes."""
    sizes = [(112, 112), (96, 64), (64, 128)]
    pictures = resized([sample.image for sample in asked], sizes, tmp_path_factory.mktemp("pictures"))
    return [Asked(sample.text[:40], (picture,)) for picture, sample in zip(pictures, asked, strict=False)]


def own(batch) -> list[Tensor]:  # type: ignore[no-untyped-def]
    return [picture.tokens for picture in batch.pictures]


def test_cagul_replaces_selected_tokens_in_every_stream(model: VLM, queries: list[Asked]) -> None:
    torch.manual_seed(0)
    guard = Guard(model, CAGULParams(k=2, encoder_init="random", discriminator="none"))
    batch = model.prepare(queries)
    edited, chosen = guard(batch, own(batch)), guard.selector.select(batch)
    for new, old, indices in zip(edited, own(batch), chosen, strict=True):
        changed = (new != old).any(-1).view(-1, old.shape[-2])
        for stream in changed:
            assert stream.nonzero()[:, 0].tolist() == sorted(indices.tolist())
    for fact, picture in zip(guard.explain(batch, edited), batch.pictures, strict=True):
        rows, columns = fact["grid"]
        assert rows * columns <= picture.count
        assert len(fact["scores"]) == rows * columns
        assert all(0 <= place < rows * columns for place in fact["chosen"])


def test_training_names_language_model_and_projector_only(model: VLM) -> None:
    towers = ("vision_tower", "vision_model", "visual.blocks")
    named = [*model.language_parameters(), *model.projector_parameters(), *model.language_linears()]
    assert model.projector_parameters()
    assert len(model.language_linears()) == 21
    assert not [name for name in named if any(tower in name for tower in towers)]


@pytest.mark.parametrize(
    ("family", "reason"),
    [("instructblip", "depend on the question"), ("chameleon", "discrete tokens"), ("newcomer", "nobody has proved")],
)
def test_other_families_are_refused_by_name(tmp_path: Path, family: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{family}"}}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=f"family '{family}'.*{reason}"):
        load(card_for(str(tmp_path)), "cpu")


@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_is_trained_in_full(
    name: str, tmp_path: Path, queries: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights in float32 beside a tower in bfloat16: each family takes its visual tokens as it can."""
    save(name, tmp_path)
    monkeypatch.setitem(DTYPES, "cpu", "bfloat16")
    model = load(card_for(str(tmp_path)), "cpu")
    batch = model.prepare(queries[:2], ["Yes", "No"])
    with model.training({**model.language_parameters(), **model.projector_parameters()}) as parameters:
        visual = [model.project(picture) for picture in batch.pictures]
        torch.cat(model.answer_log_probabilities(batch, visual)).mean().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in parameters)
        assert sum(p.grad is not None and bool(p.grad.abs().max() > 0) for p in parameters) > len(parameters) / 2


def test_the_projectors_modules_are_named_in_the_whole_model(model: VLM) -> None:
    modules = dict(model.model.named_modules())
    inside = {id(parameter) for name in projectors(model) for parameter in modules[name].parameters()}
    assert inside == {id(parameter) for parameter in model.projector_parameters().values()}
