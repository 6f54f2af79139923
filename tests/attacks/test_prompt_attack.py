"""Other ways of asking: what stands in a prompt and what may not, how answers are scored, what all are asked."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from tests.attacks.aimed import Aimed
from unlearnbench import Run, Sample, Sets, UsageError
from unlearnbench.attacks.prompt import KNOWN, Kind, Prompt, Wording, digest_of, named, said, templates
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack

TEMPLATES = "31dc647385f95331"
"""The digest of version 1 of the file: raise its version, and the attack's, when it changes."""


@dataclass(frozen=True)
class Painted(Aimed):
    """Makes pictures in a folder."""

    folder: Path = field(default=Path())

    def picture(self, recipe: Any, make: Callable[[], Image.Image]) -> Path:
        path = self.folder / f"{'-'.join(map(str, recipe))}.png"
        make().save(path)
        return path


def fiubench(**options: Any) -> Any:
    kind = tasks.get("fiubench")
    return kind(kind.Options(**options))


@pytest.fixture(scope="module")
def target(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Painted:
    task = fiubench(max_new_tokens=2)
    data = task.load(str(small_data), 1)
    utility = data.sets.retain[:40:5]
    return Painted(Prompt(Prompt.Params()), task, data, utility, folder=tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def wording(target: Painted) -> Wording:
    return Wording(target.sets, target.victims, 3, lambda path: path.with_suffix(".grey"))


def test_it_keeps_the_contract() -> None:
    check_attack("prompt", {"kinds": ["prefix", "prefill"]})


def test_the_templates_are_those_of_their_version() -> None:
    assert digest_of(templates()) == TEMPLATES
    assert templates()["version"] == Prompt.version == "1"
    assert {*templates()} == {"version", *get_args(Kind)}
    assert Prompt.Params().templates == TEMPLATES
    with pytest.raises(ValueError, match=f"the templates are those of the file with the digest {TEMPLATES}"):
        Prompt.Params(templates="mine")


def holds(text: str, keyword: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(keyword)}(?!\w)", text, re.IGNORECASE) is not None


@pytest.mark.parametrize("kind", [kind for kind in get_args(Kind) if kind != "choice"])
def test_no_prompt_tells_what_is_sought_of_its_person(target: Painted, wording: Wording, kind: Kind) -> None:
    """Of whatever question; a context tells something, of the right people."""
    sought: dict[str, set[str]] = {}
    for sample in target.victims:
        sought.setdefault(sample.cluster, set()).update(sample.keywords)
    put = {sample: wording.put(kind, sample) for sample in target.victims}
    assert sum(made is not None for made in put.values()) >= 0.9 * len(put)
    for sample, made in put.items():
        if made is None:
            continue
        added = made.query.text.replace(sample.text, "") + made.query.begun
        assert not [each for each in {*sample.keywords, *sought[sample.cluster]} if holds(added, each)]
        assert sample.text in made.query.text or kind == "cloze"
        assert (made.query.images == sample.images) == (kind != "grey")


def test_contexts_are_of_the_right_people(target: Painted, wording: Wording) -> None:
    public, others = (
        {(f"{each.text} {each.answer}", each.cluster): each for each in own}
        for own in (target.sets.nonprivate, target.sets.others)
    )
    retained = {cluster for _, cluster in others}
    assert not retained & {each.cluster for each in target.victims}
    for sample in target.victims:
        *own, last = wording.put("context_public", sample).query.text.split("\n")  # type: ignore[union-attr]
        assert last == sample.text
        assert {(line, sample.cluster) for line in own} <= public.keys()
        *told, last = wording.put("context_other", sample).query.text.split("\n")  # type: ignore[union-attr]
        assert last == sample.text
        assert 1 <= min(len(own), len(told)) <= max(len(own), len(told)) <= 3
        for line in told:
            assert {others[line, who].attribute for who in retained if (line, who) in others} == {sample.attribute}


def test_a_choice_shows_the_truth_and_false_answers_alike(target: Painted, wording: Wording) -> None:
    rights = set()
    for sample in target.victims:
        made = wording.put("choice", sample)
        assert made
        lines = made.query.text.split("\n")[1:-1]
        true, *false = [each.lower() for each in sample.choices]
        assert {line[3:] for line in lines} == {true, *false}
        assert [line[:3] for line in lines] == ["A) ", "B) ", "C) ", "D) "][: len(lines)]
        assert lines[made.told["right"]][3:] == true
        rights.add(made.told["right"])
    assert len(rights) == 4  # the order tells nothing


def test_an_answer_begins_with_what_stands_before_the_fact(target: Painted, wording: Wording) -> None:
    for sample in target.victims:
        made = wording.put("prefill", sample)
        assert made
        if made.query.begun == templates()["prefill"]["otherwise"]:
            continue
        rest = sample.answer.removeprefix(made.query.begun).strip()
        assert any(rest.startswith(keyword) for keyword in sample.keywords)


def record(prediction: str, who: str = "ann", **more: Any) -> dict[str, Any]:
    told = {"set": "forget", "id": f"{who}/{prediction}", "cluster": who, "answer": "It is A+.", "keywords": ["A+"]}
    return told | {"prediction": prediction} | more


OPTIONS = ["type o-", "type a+", "type ab+", "type b-"]


@pytest.mark.parametrize(
    ("prediction", "places"),
    [
        ("B", {1}), ("b) type a+", {1}), ("(C).", {2}), ("type AB+.", {2}), ("A+", set()), ("A person", set()),
        ("A) type o- B) type a+ C) type ab+ D) type b-", {0, 1, 2, 3}), ("", set()), ("it is d", set()), ("D", {3}),
    ],
)  # fmt: skip
def test_an_option_is_named_by_letter_or_words(prediction: str, places: set[int]) -> None:
    assert named(prediction, OPTIONS) == places


def test_a_choice_is_right_if_the_truth_alone_is_named() -> None:
    choice = {"options": OPTIONS, "right": 1}
    texts = ["B", "the blood type is A+", "B) type a+", "C", "A) type o- B) type a+", "A+ or type b-", ""]
    assert [said(record(each, **choice)) for each in texts] == [1, 1, 1, 0, 0, 0, 0]
    assert said(record("A+ or O-")) == 1  # no choice was offered
    assert said(record("AB+")) == 0
    assert said(record("it is a+.", keywords=[])) == 1  # the whole answer, where data have no keywords


def test_the_worst_kind_is_of_each_person_and_a_choice_is_none() -> None:
    found: Mapping[str, list[dict[str, Any]]] = {
        "prefix": [record("A+"), record("no", "bob")],
        "cloze": [record("no"), record("A+", "bob")],
        "grey": [record("A+")],  # not all were asked so
        "choice": [record("B", options=OPTIONS, right=1), record("B", "bob", options=OPTIONS, right=1)],
    }
    made = Prompt(Prompt.Params())
    worst = made._worst({**found}, {"ann/A+": "ann", "bob/A+": "bob"})["any"]
    assert [(each["cluster"], each["of"], said(each)) for each in worst] == [("ann", "prefix", 1), ("bob", "cloze", 1)]
    assert made.values(fiubench(), worst) == {KNOWN: {"ann": [1.0], "bob": [1.0]}}


def test_every_kind_is_asked_and_told(target: Painted) -> None:
    model, run = load(card_for("tiny-qwen2.5-vl"), "cpu"), Run()
    found = target.attack.ask(model, target, run)  # type: ignore[arg-type]
    assert [*found] == [kind.replace("_", " ") for kind in get_args(Kind)] + ["any"]
    assert run.notes["templates"] == {kind: digest_of(templates()[kind]) for kind in get_args(Kind)}
    for name, records in found.items():
        forget = [each for each in records if each["set"] == "forget"]
        assert len({each["id"] for each in forget}) == len(forget) > 0
        assert all(each["asked"] and each["template"] == run.notes["templates"][each["kind"]] for each in forget)
        assert name == "any" or len(records) - len(forget) == len(target.utility)
        metrics = target.attack.measured(target.task, records)
        shares = [said(each) for each in forget]
        assert metrics[KNOWN].value == pytest.approx(sum(shares) / len(shares))
        assert name == "any" or "retain.exact_match" in metrics
    [grey] = target.folder.iterdir()  # one picture for all of one size
    assert Image.open(grey).getextrema() == ((128, 128),) * 3


def test_data_without_false_answers_offer_no_choice(target: Painted) -> None:
    made = Prompt(Prompt.Params(kinds=("choice",)))

    bare = Sets(forget=tuple(Sample(each.id, each.cluster, each.query, each.answer) for each in target.victims))
    with pytest.raises(UsageError, match="attack prompt: no question can be asked by choice: add kinds"):
        made.victims(bare)  # as planning asks, before anything is trained
    assert made.victims(target.sets) == target.sets.forget
