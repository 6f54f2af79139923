"""How deep forgetting goes: what the base still says when it is given the unlearned model's inner states."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from unlearnbench import Attack, AttackParams, MetricValue, UsageError, attack, summarise, value_logprobs

from .picture import content

if TYPE_CHECKING:
    from unlearnbench import VLM, Run, Sample, Target, Task
    from unlearnbench.contracts.attack import Records, Values

KEPT = "depth.kept"
"""What part of what the retrained model lacks is still there, from 1, intact, to 0, erased as there."""

AT_A_TIME = 16
"""Questions in a pass: two models are in memory."""

DECIMALS = 5
"""Of a drop in log-probability, as of those themselves."""


class DepthParams(AttackParams):
    """Which blocks, and which tokens."""

    guard: Literal["on", "off"] = Field(
        "off", description="off: states are compared at the same visual tokens, so nothing may stand before the weights"
    )
    every: int = Field(4, ge=1, description="each so many blocks of the language model one is replaced, the last too")
    span: Literal["answer", "keywords"] = Field(
        "answer", description="tokens whose likelihood counts: the answer's, or those of its keywords, where it has any"
    )
    threshold: float = Field(0.05, ge=0, description="drop, in nats a token, from which the retrained model lacks it")

    presets: ClassVar = {"tiny": {"every": 1}}


@attack("depth", reference="arXiv:2605.24614")
class Depth(Attack):
    """Puts the unlearned model's hidden states into the base, one block at a time, and sees what the base loses.

    What it loses by the retrained model's states is what that one lacks there. A model whose states take nothing from
    the base has kept it all, whatever it says itself.
    """

    access = "weights-read"
    needs = ("base",)
    levels: ClassVar = {"logits": (KEPT,)}
    Params = DepthParams
    params: DepthParams

    def ask(self, model: "VLM", target: "Target", run: "Run") -> "Records":
        """By how much each block's states lower the likelihood of each of the victims' answers; the retain set beside.

        Raises `UsageError` for a model with something before its weights.
        """
        if model.visual_edit is not None:
            raise UsageError("attack depth: something stands before the model's weights: set depth.guard=off")
        base, victims = target.beside("base"), sorted(target.victims, key=lambda each: (each.images, each.id))
        names = blocks_of(model, self.params.every)

        def lost(part: "Sequence[Sample]") -> list[dict[str, list[float]]]:
            return drops(base, model, part, names)

        of_each = run.in_parts("replacing states", victims, AT_A_TIME, lambda each: _asked(names, each), lost)
        found = [self._record(base, *each) for each in zip(victims, of_each, strict=True)]
        run.notes["depth"] = {"blocks": names}
        return {"": [*found, *target.records(model, {"retain": target.utility})]}

    def _record(self, base: "VLM", sample: "Sample", lost: "Mapping[str, list[float]]") -> dict[str, Any]:
        wanted = sample.keywords if self.params.span == "keywords" else ()
        own = {name: value_logprobs(base, sample.answer, of, wanted) or of[:-1] or of for name, of in lost.items()}
        return {
            "set": "forget",
            "id": sample.id,
            "cluster": sample.cluster,
            "question": sample.text,
            "answer": sample.answer,
            "drops": {name: round(sum(of) / len(of), DECIMALS) + 0.0 for name, of in own.items()},
        }

    def measured(self, task: "Task", records: Sequence[Any]) -> dict[str, MetricValue]:
        """The mean drop by each block's states, and what the retain set's questions tell."""
        found = super().measured(task, [each for each in records if each["set"] != "forget"])
        for name, of in self.values(task, records).items():
            flat = [(value, person) for person, own in of.items() for value in own]
            people = [person for _, person in flat]
            found[name] = summarise([value for value, _ in flat], clusters=people, seed=0, higher_is_better=None)
        return found

    def values(self, task: "Task", records: Sequence[Any]) -> dict[str, dict[str, list[float]]]:
        """By block and by person, the drop of each question, in the order of their ids."""
        found: dict[str, dict[str, list[float]]] = {}
        for record in sorted((each for each in records if each["set"] == "forget"), key=lambda each: str(each["id"])):
            for name, drop in record["drops"].items():
                found.setdefault(f"depth.{name}", defaultdict(list))[record["cluster"]].append(drop)
        return {name: dict(of) for name, of in found.items()}

    def compared(self, values: "Values", ideal: "Values") -> "Values":
        """By person, of each question 1 - UDS; 0 of one that the retrained model's states take nothing from."""
        people = dict.fromkeys(person for of in values.values() for person in of)
        return {
            KEPT: {
                person: [
                    self._kept(*pairs)
                    for pairs in zip(*(_by_question(each, [*values], person) for each in (values, ideal)), strict=True)
                ]
                for person in people
            }
        }

    def _kept(self, own: Sequence[float], ideal: Sequence[float]) -> float:
        """What is left of the drops that the retrained model's states make, block by block."""
        lacks = [(drop, most) for drop, most in zip(own, ideal, strict=True) if most > self.params.threshold]
        whole = sum(most for _, most in lacks)
        return 1.0 - sum(min(max(drop, 0.0), most) for drop, most in lacks) / whole if lacks else 0.0


def _asked(names: Sequence[str], sample: "Sample") -> list[object]:
    """What the journal knows a question by; the base, whose states are replaced, is the model's own."""
    return ["depth", names, sample.text, sample.answer, [content(path) for path in sample.images]]


def _by_question(values: "Values", names: Sequence[str], person: str) -> Iterator[tuple[float, ...]]:
    """Of each question about somebody the drops by block."""
    return zip(*(values[name][person] for name in names), strict=True)


def blocks_of(model: "VLM", every: int) -> list[str]:
    """Every so many blocks of the language model, the last one too; none that is passed by without a picture."""
    crossing = {*model.attention_layers} if model.layered else set[int]()
    numbers = [n for n, _ in enumerate(model.language_model().layers) if n not in crossing]  # type: ignore[arg-type]
    return [f"language.{number}" for number in numbers[::-1][::every][::-1]]


def drops(base: "VLM", model: "VLM", samples: "Sequence[Sample]", names: Sequence[str]) -> list[dict[str, list[float]]]:
    """Of every sample, by block, by how many nats the base's log-probability of each token of the answer falls.

    The end token is among them. The block's states are those of ``model`` at the tokens from which the answer's are
    predicted.
    """
    import torch

    answers = [sample.answer for sample in samples]
    with torch.no_grad():
        states = model.hidden(model.prepare(samples, answers), names, "predicting")
        batch = base.prepare(samples, answers)
        whole = base.answer_log_probabilities(batch)
        by_block = {name: base.patched(batch, {name: states[name]}) for name in names}
    return [
        {name: (whole[place] - of[place]).tolist() for name, of in by_block.items()} for place, _ in enumerate(samples)
    ]
