"""Answers that are read on from a static cache, step by step or from a recording, are those of `transformers`."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models import graphs
from tests.models.tiny_families import EMBEDDED, FAMILIES, loaded, resized
from unlearnbench.contracts.sample import Asked, Sample, Sampling
from unlearnbench.models.asking.requests import Ask, ask
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.models.fusion import recording
from unlearnbench.models.fusion.steps import begun
from unlearnbench.runtime.run import Run

NEW = 12


@pytest.fixture(scope="module", params=[*EMBEDDED, *FAMILIES])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return loaded(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def own() -> Any:
    """One that a test may change for itself."""
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


@pytest.fixture(scope="module")
def queries(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    """Two pictures with several questions, one with one, and a question without any."""
    sizes = [(112, 112), (96, 64), (64, 128)]
    pictures = resized([sample.image for sample in asked], sizes, tmp_path_factory.mktemp("pictures"))
    about: list[tuple[Path, ...]] = [(pictures[place],) for place in (0, 1, 0, 0, 1, 2)]
    return [Asked(sample.text, its) for its, sample in zip([*about, ()], asked, strict=False)]


def plainly(model: Any, queries: list[Asked], **how: Any) -> list[str]:
    return model.generate(model.prepare(queries), max_new_tokens=NEW, **how)  # type: ignore[no-any-return]


def quickly(model: Any, queries: list[Asked], **how: Any) -> list[str]:
    return plainly(model, queries, shared=True, **how)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[graphs.Graph]:
    from unlearnbench.models.fusion.decoder import DecoderVLM

    monkeypatch.setattr(DecoderVLM, "may_record", lambda model: True)
    return graphs.on_a_cpu(monkeypatch)


def test_a_recording_says_what_transformers_says(
    model: Any, queries: list[Asked], recorded: type[graphs.Graph]
) -> None:
    """Rows that share a beginning, rows that do not, and one without a picture."""
    assert quickly(model, queries) == plainly(model, queries)
    assert recorded.made
    assert recorded.played > recorded.made


@torch.no_grad()
def test_no_step_waits_for_the_gpu_or_takes_anything_from_the_cpu(model: Any, queries: list[Asked]) -> None:
    """Without a device no number is known, so reading one fails; and nothing may lie in the CPU's memory."""
    batch = model.prepare(queries[:4])
    steps, _ = begun(model, batch, model.look(batch), NEW, shared=False)
    steps.network = copy.deepcopy(model.model).to("meta")
    for layer in steps.cache.layers:
        layer.keys, layer.values = layer.keys.to("meta"), layer.values.to("meta")
    for name in ("at", "ids", "positions", "seen"):
        setattr(steps, name, getattr(steps, name).to("meta"))
    steps.further = {name: value.to("meta") for name, value in steps.further.items()}

    class NoCPU(TorchDispatchMode):
        def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = call(*args, **(kwargs or {}))
            for each in (*graphs.tensors(args), *graphs.tensors(found)):
                assert each.device.type == "meta", call
            return found

    with NoCPU():
        assert steps.following(steps.ids).shape == (4, model.model.get_output_embeddings().out_features)


def test_drawn_answers_are_the_same(own: Any, queries: list[Asked], recorded: type[graphs.Graph]) -> None:
    rule = Sampling(seed=3, temperature=1.5, top_p=0.9)
    mixed = [rule, None, rule, rule, None, rule, rule]
    assert quickly(own, queries, sampling=mixed) == plainly(own, queries, sampling=mixed)
    assert recorded.played


def many(queries: list[Asked]) -> list[Ask[int]]:
    """So many questions about one picture that batches are alike."""
    words = [query.text for query in queries]
    return [Ask(number, Asked(words[number % 3], queries[0].images), NEW) for number in range(18)]


def test_batches_of_one_shape_share_a_recording(own: Any, queries: list[Asked], recorded: type[graphs.Graph]) -> None:
    requests = many(queries)
    said = ask(own, requests, Run(), batch_size=6)
    assert recorded.made == 1
    assert [*said.values()] == plainly(own, [each.query for each in requests])
    assert own.unchanging is None
    ask(own, requests, Run(), batch_size=6)
    assert recorded.made == 2, "of one asking nothing is left for the next, before which weights may change"


def test_weights_that_were_replaced_are_those_that_answer(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph]
) -> None:
    before = ask(own, many(queries), Run(), batch_size=6)
    changed = copy.deepcopy(own.model)
    with torch.no_grad():
        for block in changed.get_decoder().layers:
            block.mlp.down_proj.weight = torch.nn.Parameter(-block.mlp.down_proj.weight)
    edited = copy.copy(own)
    edited.model = changed
    after = ask(edited, many(queries), Run(), batch_size=6)
    assert [*after.values()] == plainly(edited, [each.query for each in many(queries)])
    assert after != before
    assert ask(own, many(queries), Run(), batch_size=6) == before


def test_what_cannot_be_recorded_is_told_once_and_answered(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(recording, "_told", set())
    monkeypatch.setattr(graphs, "FORBIDDEN", ("silu",))
    with caplog.at_level(logging.WARNING):
        assert quickly(own, queries) == plainly(own, queries)
        assert quickly(own, queries) == plainly(own, queries)
    told = [record for record in caplog.records if "cannot be recorded" in record.message]
    assert len(told) == 1
    assert recorded.made
    assert not recorded.played


def test_nothing_is_kept_where_memory_runs_out(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = own.prepare(queries)

    def short(*given: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with own.unchanged():
        own.generate(batch, max_new_tokens=NEW, shared=True)
        assert own.unchanging.decoding
        monkeypatch.setattr(torch.cuda, "graph", short)
        with pytest.raises(torch.OutOfMemoryError):
            own.generate(own.prepare(queries[:3]), max_new_tokens=NEW, shared=True)
        assert own.unchanging.decoding is None


def test_strange_hooks_are_called_at_every_step(
    model: Any, queries: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert model.may_record(), "the family's own hooks may be there"
    with calls(model.language_model().layers[0]):
        assert not model.may_record()


def calls(module: torch.nn.Module) -> Any:
    def hook(*given: Any) -> None: ...

    return module.register_forward_hook(hook)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", EMBEDDED)
def test_a_gpu_answers_as_transformers_does_there(name: str, queries: list[Asked]) -> None:
    """In float32, in which ways of computing do not differ by as much as two tokens' logits do."""
    on_gpu: Any = load(card_for(name), "cuda", "float32")
    assert on_gpu.may_record()
    assert quickly(on_gpu, queries) == plainly(on_gpu, queries)
    requests = many(queries)
    said = ask(on_gpu, requests, Run(), batch_size=6)
    assert [*said.values()] == plainly(on_gpu, [each.query for each in requests])
