"""Answers that are read on from a static cache, step by step or from a recording, are those of `transformers`."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models import graphs
from tests.models.tiny_families import EMBEDDED, FAMILIES, internvl, loaded, resized
from unlearnbench.contracts.sample import Asked, Sample, Sampling
from unlearnbench.models.asking.requests import Ask, ask
from unlearnbench.models.families.internvl import InternVL
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.models.fusion.recording import Recorded
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


def test_what_cannot_be_recorded_is_told_and_not_tried_again(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(graphs, "FORBIDDEN", ("silu",))
    before = torch.cuda.current_stream()
    with caplog.at_level(logging.WARNING):
        assert quickly(own, queries) == plainly(own, queries)
        assert quickly(own, queries[:3]) == plainly(own, queries[:3])
    told = [record.message for record in caplog.records if "cannot be recorded" in record.message]
    assert len(told) == 1
    assert "silu" in told[0], "why, rather than that it failed"
    assert (recorded.begun, recorded.played) == (1, 0)
    assert torch.cuda.current_stream() is before
    monkeypatch.setattr(graphs, "FORBIDDEN", ())
    assert quickly(own, queries) == plainly(own, queries)
    assert recorded.begun == 1, "of another shape, or later, none is tried"


def test_nothing_is_kept_where_memory_runs_out(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*given: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with own.unchanged():
        quickly(own, queries)
        assert own.unchanging.decoding
        monkeypatch.setattr(recorded, "replay", short)
        with pytest.raises(torch.OutOfMemoryError):
            quickly(own, queries[:3])
        assert own.unchanging.decoding is None


def test_where_memory_does_not_hold_a_recording_steps_are_taken(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """They have just shown that they fit; a smaller batch may be recorded."""
    before = torch.cuda.current_stream()
    monkeypatch.setattr(graphs, "SHORT", ("silu",))
    monkeypatch.setattr(graphs.Stream, "free", 2**20)
    assert quickly(own, queries[:6]) == plainly(own, queries[:6])
    assert (recorded.begun, recorded.played, recorded.given_back) == (1, 0, 1)
    assert torch.cuda.current_stream() is before
    monkeypatch.setattr(graphs, "SHORT", ())
    monkeypatch.setattr(graphs.Stream, "free", 2**40)
    assert quickly(own, queries[:3]) == plainly(own, queries[:3])
    assert (recorded.begun, recorded.given_back) == (2, 1)
    assert recorded.played
    assert not caplog.records


def test_what_interrupts_a_recording_is_not_taken_for_its_failure(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(graphs.Recording, "__torch_dispatch__", interrupted)
    before = torch.cuda.current_stream()
    with pytest.raises(KeyboardInterrupt):
        quickly(own, queries)
    assert torch.cuda.current_stream() is before


def test_rows_that_share_a_beginning_take_the_others_along(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph]
) -> None:
    """Apart they would go on by turns, in two shapes of which no recording is kept."""
    assert quickly(own, queries[:6]) == plainly(own, queries[:6])
    assert recorded.made == 1


@pytest.mark.parametrize("places", [(0, 1), (0, 2)])
def test_memory_of_another_shape_goes_before_prompts_are_read(
    own: Any, queries: list[Asked], places: tuple[int, ...]
) -> None:
    """Two questions about a picture each, or about the same, after four."""
    kept: list[Any] = []

    def look(*given: Any) -> None:
        kept.append(own.unchanging.decoding)

    with own.unchanged():
        quickly(own, queries[:4])
        assert own.unchanging.decoding
        with own.language_model().layers[0].register_forward_pre_hook(look):
            quickly(own, [queries[place] for place in places])
    assert kept[0] is None
    assert kept[-1] is not None


def test_layers_have_columns_as_they_are_filled(model: Any, queries: list[Asked]) -> None:
    """By which older `transformers` decide whether there is anything to attend to across."""
    for its in (queries[:4], queries[-1:]):
        batch = model.prepare(its)
        with torch.no_grad():
            steps, _ = begun(model, batch, model.look(batch), NEW, shared=False)
        crossing = steps.cache.crossing
        lengths = [steps.cache.get_seq_length(layer) for layer in range(len(steps.cache.layers))]
        assert {its for layer, its in enumerate(lengths) if layer not in crossing} == {steps.cache.width}
        assert all((lengths[layer] > 0) == bool(batch.pictures) for layer in crossing)


def test_older_transformers_see_that_pictures_are_there(queries: list[Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs has this condition; without it no token but the first would see a picture."""
    from transformers.models.mllama import modeling_mllama

    def are_there(cache: Any, layer: int) -> bool:
        return cache is not None and bool(cache.get_seq_length(layer) != 0)

    mllama: Any = load(card_for("tiny-mllama"), "cpu")
    said = plainly(mllama, queries)
    monkeypatch.setattr(modeling_mllama, "_has_cached_cross_attention_states", are_there)
    assert quickly(mllama, queries) == said


def dynamic(longest: int) -> Any:
    """A model whose frequencies change from so many positions on."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    torch.manual_seed(0)
    pretrained, processor = internvl(max_position_embeddings=longest, rope_parameters=rope)
    pretrained.generation_config.suppress_tokens = sorted(processor.tokenizer.added_tokens_decoder)
    return InternVL(pretrained.float(), processor)


def test_frequencies_that_follow_lengths_are_held_while_these_are_short(
    queries: list[Asked], recorded: type[graphs.Graph]
) -> None:
    """As InternVL-2.5's are; other families' here never change."""
    short = dynamic(512)
    rope = short.language_model().rotary_emb
    assert quickly(short, queries) == plainly(short, queries)
    assert recorded.played > recorded.made > 0
    assert rope.rope_type == "dynamic"
    rope(torch.zeros(1, 1, 32), torch.tensor([[700]]))  # a prompt that went beyond
    assert rope.max_seq_len_cached > 512
    assert quickly(short, queries) == plainly(short, queries)


def test_frequencies_that_may_change_are_not_recorded(queries: list[Asked], recorded: type[graphs.Graph]) -> None:
    long = dynamic(64)
    assert quickly(long, queries)
    assert not recorded.begun


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
    with on_gpu.unchanged():
        assert quickly(on_gpu, queries[:6]) == plainly(on_gpu, queries[:6])
        assert on_gpu.unchanging.decoding.recorded.made
    requests = many(queries)
    said = ask(on_gpu, requests, Run(), batch_size=6)
    assert [*said.values()] == plainly(on_gpu, [each.query for each in requests])
    assert not Recorded.impossible


@torch.no_grad()
def logits_of(model: Any, queries: list[Asked], monkeypatch: pytest.MonkeyPatch, *, records: bool) -> Tensor:
    """Of every step [steps, B, vocabulary], whose tokens are always the same."""
    monkeypatch.setattr(model, "may_record", lambda: records)
    batch = model.prepare(queries)
    steps, _ = begun(model, batch, model.look(batch), NEW, shared=False)
    ids = batch.input_ids[:, -NEW:]
    said = torch.stack([steps.following(ids[:, [step]]).clone() for step in range(NEW)])
    assert steps.recorded.made == records
    return said


def test_a_recording_gives_the_logits_of_its_step(
    own: Any, queries: list[Asked], recorded: type[graphs.Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, played = (logits_of(own, queries[:4], monkeypatch, records=records) for records in (False, True))
    torch.testing.assert_close(played, taken)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", EMBEDDED)
def test_a_gpus_recording_gives_the_logits_of_its_step(
    name: str, queries: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16, in which real models are asked: the same kernels, so the same numbers."""
    on_gpu: Any = load(card_for(name), "cuda", "bfloat16")
    taken, played = (logits_of(on_gpu, queries[:4], monkeypatch, records=records) for records in (False, True))
    torch.testing.assert_close(played, taken)
