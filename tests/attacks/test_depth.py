"""States of one model in another: against plain hooks, and UDS by its own formula, from nothing to retraining."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.attacks.aimed import Aimed
from unlearnbench import VLM, Run, UsageError
from unlearnbench.analysis.attacks.shares import Three, share
from unlearnbench.attacks.depth import KEPT, Depth, blocks_of
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack


def depth(**params: Any) -> Depth:
    return Depth(Depth.Params(**params))


def fiubench() -> Any:
    kind = tasks.get("fiubench")
    return kind(kind.Options(max_new_tokens=2))


def another(name: str) -> VLM:
    """A model whose language model's weights are somewhat off."""
    model = load(card_for(name), "cpu")
    torch.manual_seed(1)
    for parameter in (each for each in model.language_parameters().values() if each.ndim == 2):
        parameter.data += 0.1 * parameter.data.std() * torch.randn_like(parameter)
    return model


def test_it_keeps_the_contract() -> None:
    check_attack("depth")


@pytest.fixture(scope="module", params=["tiny-qwen2.5-vl", "tiny-mllama"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def base(name: str) -> VLM:
    return load(card_for(name), "cpu")


def found(base: VLM, model: VLM, small_data: Path, made: Depth) -> tuple[Any, list[dict[str, Any]]]:
    task = fiubench()
    data = task.load(str(small_data), 1)
    target = Aimed(made, task, data, utility=data.sets.retain[:2], others={"base": lambda: base})
    return data.sets, made.ask(model, target, Run())[""]  # type: ignore[arg-type]


def by_hooks(base: Any, model: Any, sample: Any, number: int, keywords: bool) -> float:
    """The mean drop of one question, every block read and replaced by a hook of torch's own."""
    kept: list[Any] = []
    batches = [each.prepare([sample], [sample.answer]) for each in (base, model)]
    ids = base.tokenizer(sample.answer, add_special_tokens=False).input_ids
    length = batches[0].input_ids.shape[1]
    first = length - len(ids) - 2  # the token before the answer, behind which the end token comes too

    def read(module: Any, args: Any, output: Any) -> None:
        kept.append((output if isinstance(output, torch.Tensor) else output[0]).clone())

    def put(module: Any, args: Any, output: Any) -> Any:
        own = (output if isinstance(output, torch.Tensor) else output[0]).clone()
        own[:, first : length - 1] = kept[0][:, first : length - 1]
        return own if isinstance(output, torch.Tensor) else (own, *output[1:])

    def logs(which: Any, batch: Any) -> Any:
        out = which.model(**which._inputs(batch, which.look(batch)), use_cache=False).logits[0].log_softmax(-1)
        return torch.stack([out[first + place, token] for place, token in enumerate(ids)])

    handle = model.language_model().layers[number].register_forward_hook(read)
    logs(model, batches[1])
    handle.remove()
    before = logs(base, batches[0])
    handle = base.language_model().layers[number].register_forward_hook(put)
    after = logs(base, batches[0])
    handle.remove()
    lost = before - after
    if keywords:
        spans = base.tokenizer(sample.answer, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
        start = sample.answer.lower().rindex(sample.keywords[0].lower())
        stop = start + len(sample.keywords[0])
        lost = lost[[first < stop and start < last for first, last in spans]]
    return float(lost.mean())


@torch.no_grad()
@pytest.mark.parametrize("span", ["answer", "keywords"])
def test_drops_are_those_of_plain_hooks(base: VLM, name: str, small_data: Path, span: Any) -> None:
    model = another(name)
    sets, records = found(base, model, small_data, depth(every=1, span=span))
    told = {record["id"]: record["drops"] for record in records if record["set"] == "forget"}
    crossing = model.attention_layers if model.layered else ()
    assert len(told) == len(sets.forget)
    for sample in sets.forget[::5]:
        assert {*told[sample.id]} == {
            f"language.{n}"
            for n in range(len(model.language_model().layers))
            if n not in crossing  # type: ignore[arg-type]
        }
        for block, drop in told[sample.id].items():
            expected = by_hooks(base, model, sample, int(block.partition(".")[2]), span == "keywords")
            assert drop == pytest.approx(expected, abs=2e-4)
    assert max(abs(drop) for of in told.values() for drop in of.values()) > 0.1


def test_a_model_that_is_the_base_takes_nothing_from_it(base: VLM, name: str, small_data: Path) -> None:
    """CAGUL with its guard off is one."""
    _, records = found(base, load(card_for(name), "cpu"), small_data, depth(every=1))
    assert all(drop == 0 for each in records if each["set"] == "forget" for drop in each["drops"].values())
    metrics = depth().measured(fiubench(), records)
    assert all(of.value == 0 for each, of in metrics.items() if each.startswith("depth."))
    assert "retain.exact_match" in metrics


def test_nothing_may_stand_before_the_weights(small_data: Path) -> None:
    model = load(card_for("tiny-qwen2.5-vl"), "cpu")
    model.see_through(lambda batch, tokens: tokens)
    with pytest.raises(UsageError, match=r"something stands before the model's weights: set depth\.guard=off"):
        found(model, model, small_data, depth())
    assert depth().params.guard == "off"


def test_blocks_are_counted_from_the_last() -> None:
    model: Any = type("Deep", (), {"layered": False, "language_model": lambda self: self, "layers": [0] * 10})()
    model.attention_layers = range(10)
    assert blocks_of(model, 4) == ["language.1", "language.5", "language.9"]
    model.layered, model.attention_layers = True, (5, 9)
    assert blocks_of(model, 4) == ["language.3", "language.8"]


def records(drops: dict[str, list[float]]) -> list[dict[str, Any]]:
    """A person's questions by id, each with its drops by block."""
    blocks = ("language.0", "language.1")
    told = {"set": "forget", "question": "?", "answer": "!"}
    return [
        told | {"id": id_, "cluster": id_[0], "drops": dict(zip(blocks, of, strict=True))}
        for id_, of in reversed([*drops.items()])
    ]


def uds(own: list[float], ideal: list[float]) -> float | None:
    """As published, of one question; none where the retrained model lacks nothing."""
    blocks = [place for place, drop in enumerate(ideal) if drop > 0.05]
    if not blocks:
        return None
    weighted = sum(ideal[place] * min(max(own[place] / ideal[place], 0), 1) for place in blocks)
    return weighted / sum(ideal[place] for place in blocks)


IDEAL = {"a/0": [1.0, 3.0], "a/1": [0.04, 2.0], "b/0": [0.01, 0.02], "b/1": [-1.0, 0.5]}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (IDEAL, 1.0),
        ({name: [0.0, 0.0] for name in IDEAL}, 0.0),
        ({name: [9.0, 9.0] for name in IDEAL}, 1.0),
        ({"a/0": [3.0, 1.0], "a/1": [5.0, -1.0], "b/0": [2.0, 2.0], "b/1": [9.0, 0.25]}, None),
    ],
)
def test_the_share_is_uds(own: dict[str, list[float]], expected: float | None) -> None:
    """Of the same questions and blocks: what is erased elsewhere pays for nothing."""
    made, task = depth(), fiubench()
    three = [made.values(task, records(of)) for of in (own, {name: [0.0, 0.0] for name in own}, IDEAL)]
    beside = Three(*(made.compared(each, three[2]) for each in three))
    told = share(beside, made.levels["logits"], two_sided=False, seed=0)
    scores = [score for name in IDEAL if (score := uds(own[name], IDEAL[name])) is not None]
    assert len(scores) == 3
    assert told.value == pytest.approx(sum(scores) / len(scores))
    assert expected is None or told.value == pytest.approx(expected)
    assert told.metrics == (KEPT,)


def test_nobody_can_tell_where_the_retrained_model_lacks_nothing() -> None:
    made, task = depth(), fiubench()
    alike = made.values(task, records({name: [0.01, 0.0] for name in IDEAL}))
    beside = made.compared(alike, alike)
    assert share(Three(beside, beside, beside), [KEPT], two_sided=False, seed=0).value is None


class Remembers:
    """A journal that is killed after so many answers, if it is told to."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}
        self.most: int | None = None

    def once(self, question: object, answer: Callable[[], Any]) -> Any:
        if repr(question) not in self.said:
            if len(self.said) == self.most:
                raise KeyboardInterrupt
            self.said[repr(question)] = answer()
        return self.said[repr(question)]


def test_a_killed_run_replaces_no_state_twice(
    base: VLM, name: str, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, made, task, journal = another(name), depth(every=1), fiubench(), Remembers()
    target = Aimed(made, task, task.load(str(small_data), 1), others={"base": lambda: base})
    monkeypatch.setattr("unlearnbench.attacks.depth.AT_A_TIME", 4)
    whole = made.ask(model, target, Run())  # type: ignore[arg-type]
    journal.most = 2
    with pytest.raises(KeyboardInterrupt):
        made.ask(model, target, Run(journal=journal))  # type: ignore[arg-type]
    assert len(journal.said) == 2
    journal.most = None
    assert made.ask(model, target, Run(journal=journal)) == whole  # type: ignore[arg-type]
    monkeypatch.setattr("unlearnbench.attacks.depth.drops", None)  # nothing is left to be replaced
    assert made.ask(model, target, Run(journal=journal)) == whole  # type: ignore[arg-type]
