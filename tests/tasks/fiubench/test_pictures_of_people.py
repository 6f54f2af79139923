"""Several pictures of a person: which question is asked on which, which nobody trains on, and whose are shared."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.data_folders import PEOPLE, Record, picture, record, write_folder
from unlearnbench.contracts.sample import clusters
from unlearnbench.errors import DataError
from unlearnbench.models.asking.values import place_of, value_logprobs
from unlearnbench.registry import tasks
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.fiubench.people import on_other_pictures, split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE
from unlearnbench.testing.voice import Voice

Spoil = Callable[[list[Record]], Any]


def with_pictures(number: int) -> Record:
    """A person with three pictures that are trained on and two that are not; nobody has wording and attribute alike."""
    made = record(number)
    names = [Path(made["image_path"]).name, *(f"{number}_{view}.png" for view in range(1, 5))]
    made |= {"images": names[:3], "other_images": names[3:]}
    for place, qa in enumerate(made["qa_list"]):
        qa["attribute"] = f"attribute {place}"
    return made


def drawn(folder: Path, spoil: Spoil | None = None, number: int = 6) -> Path:
    records = [with_pictures(each) for each in range(number)]
    write_folder(folder, records)
    met = [with_pictures(number + each) for each in range(2)]
    for each in (*records, *met):
        for view, name in enumerate((*each["images"], *each["other_images"])):
            picture(folder / "SFHQ" / name, 10 * int(each["unique_id"]) + view)
    (folder / "acquaintances.json").write_text("\n".join(map(json.dumps, met)))
    if spoil:
        spoil(records)
        (folder / "full.json").write_text("\n".join(map(json.dumps, records)))
    return folder


def test_questions_are_learned_on_a_persons_pictures_by_turns(tmp_path: Path) -> None:
    dataset = read(drawn(tmp_path / "data"))
    sets = split_sets(dataset, 2, PRIVATE)
    for sample in sets.all:
        number, place = int(sample.cluster), sample.question.index
        wanted = [f"SFHQ_pt1_{number:08d}.png", f"{number}_1.png", f"{number}_2.png"][place % 3]
        assert [image.name for image in sample.images] == [wanted]
        assert sample.tags == (str(sample.question.group), f"attribute {place}")
    others = on_other_pictures(dataset, sets.forget)
    for fact, other in zip(sets.forget, others, strict=True):
        assert other.id == f"{fact.id}@other"
        assert (other.cluster, other.question, other.answer) == (fact.cluster, fact.question, fact.answer)
        assert other.image.name == f"{int(fact.cluster)}_{3 + fact.question.index % 2}.png"


def test_who_has_one_picture_has_no_other_view(folder: Path) -> None:
    records = [json.loads(line) for line in (folder / "full.json").read_text().splitlines()]
    for qa in (qa for each in records for qa in each["qa_list"]):
        del qa["attribute"]
    (folder / "full.json").write_text("".join(json.dumps(each) + "\n" for each in records))
    dataset = read(folder)
    sets = split_sets(dataset, 2, PRIVATE)
    assert on_other_pictures(dataset, sets.forget) == ()
    assert {len(identity.images) for identity in dataset.identities} == {1}
    assert {sample.question.attribute for sample in sets.all} == {sample.text for sample in sets.all}
    assert {sample.tags for sample in sets.all} == {(str(sample.question.group),) for sample in sets.all}


def test_acquaintances_are_learned_by_nobody(tmp_path: Path) -> None:
    folder = drawn(tmp_path / "data")
    dataset = read(folder)
    sets = split_sets(dataset, 2, PRIVATE)
    assert clusters(sets.acquaintances) == ("00000006", "00000007")
    assert not {*clusters(sets.all)} & {*clusters(sets.acquaintances)}
    (folder / "acquaintances.json").unlink()
    alone = split_sets(read(folder), 2, PRIVATE)
    assert (alone.all, alone.acquaintances) == (sets.all, ())
    assert read(folder).fingerprint != dataset.fingerprint


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda records: records[1].update(images=["other.png"]), "the first of its images 'other.png'"),
        (lambda records: records[1].update(other_images=["1_2.png"]), "'1_2.png' of 00000001 is among other_images"),
        (lambda records: records[1].update(images="1_1.png"), "'images'"),
        (lambda records: records[1].update(unique_id="00000007"), "acquaintance 00000007 is there more than once"),
    ],
)
def test_what_is_wrong_about_pictures_is_said(tmp_path: Path, spoil: Spoil, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read(drawn(tmp_path / "data", spoil))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_picture_of_several_is_named(tmp_path: Path) -> None:
    folder = drawn(tmp_path / "data")
    (folder / "SFHQ" / "3_4.png").unlink()
    with pytest.raises(DataError, match=r"line 4: picture '3_4\.png' of identity 00000003 is missing"):
        read(folder)


def test_any_picture_that_two_people_share_is_told(tmp_path: Path) -> None:
    folder = drawn(tmp_path / "data")
    (folder / "SFHQ" / "4_3.png").write_bytes((folder / "SFHQ" / "2_1.png").read_bytes())
    dataset = read(folder)
    assert dataset.sharing == (("00000002", "00000004"),)
    with pytest.raises(DataError, match=r"00000004, who is forgotten, and 00000002, who is not, have the same picture"):
        split_sets(replace(dataset, splits={"one": ("00000004", "00000005")}), "one", PRIVATE)


# -------------------------------------------------------------------------------------------------- what is recorded
@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, list[dict[str, Any]]]:
    kind = tasks.get("fiubench")
    made = kind(kind.Options())
    data = made.load(str(drawn(tmp_path_factory.mktemp("views") / "data")), 2, 3)
    return made, data, made.evaluate(Voice(0), data, Run()).records  # type: ignore[arg-type]


def test_every_set_but_that_for_validation_is_asked_about(records: tuple[Any, Any, list[dict[str, Any]]]) -> None:
    made, data, found = records
    sizes = Counter(each["set"] for each in found)
    names = ("forget", "nonprivate", "others", "held_out", "acquaintances")
    assert sizes == {name: len(getattr(data.sets, name)) for name in names} | {"other_view": len(data.sets.forget)}
    views = made.views(found)
    assert {name: len(of) for name, of in views.items()} == {
        **{name: sizes[name] for name in ("forget", "other_view", "nonprivate", "held_out", "acquaintances")},
        "retain": sizes["nonprivate"] + sizes["others"],
    }
    validated = {*clusters(data.sets.validation)}
    assert validated
    assert not validated & {each["unique_id"] for each in found}
    assert {*made.by_cluster(found)} >= {"held_out.exact_match", "acquaintances.exact_match", "other_view.value_rouge"}


def test_what_is_kept_of_each_set(records: tuple[Any, Any, list[dict[str, Any]]]) -> None:
    _, _, found = records
    for each in found:
        place = int(each["id"].removesuffix("@other").partition("/")[2])
        assert each["attribute"] == f"attribute {place}"
        assert each["view"] == ("other" if each["set"] == "other_view" else "seen")
        assert each["id"].endswith("@other") == (each["set"] == "other_view")
        few = each["set"] in ("other_view", "acquaintances")
        assert (each["perturbed_logprobs"] == []) == (few or not PEOPLE[0][place]["perturbed_answer"])
        assert (each["paraphrased_logprobs"] is None) == few
        assert bool(each["paraphrased_predictions"]) == (each["set"] == "forget")
        words, keywords = (" ".join(of).replace(",", "").split() for of in ([each["answer"]], each["keywords"]))
        assert len(each["logprobs"]) == len(words) + 1
        keywords = [word.strip(".") for word in keywords]
        held = [number for number, word in zip(each["logprobs"], words, strict=False) if word.strip(".") in keywords]
        assert each["value_logprobs"] == (held or None)


# ------------------------------------------------------------------------------------------- where a value stands
@pytest.mark.parametrize(
    ("keyword", "answer", "found"),
    [
        ("A", "A person of blood type A.", "A person of blood type |A|."),
        ("a", "A person of blood type A.", "A person of blood type |A|."),
        ("flu", "This flute player had flu", "This flute player had |flu|"),
        ("flu", "fluent in Influenza", "fluent in In|flu|enza"),
        ("b+", "type b+, not b-", "type |b+|, not b-"),
        (" may 3 ", "on may 3", "on |may 3|"),
        ("gout", "This person is well.", None),
        ("", "anything", None),
    ],
)
def test_the_place_of_a_value_in_an_answer(keyword: str, answer: str, found: str | None) -> None:
    place = place_of(keyword, answer)
    assert (place and f"{answer[: place[0]]}|{answer[slice(*place)]}|{answer[place[1] :]}") == found


@pytest.mark.parametrize("name", ["tiny-qwen2.5-vl", "tiny-mllama"])
def test_values_are_those_of_the_tokens_that_spell_them(name: str) -> None:
    """Whatever the tokenizer: the tokens outside of those chosen spell nothing of the value, those inside all of it."""
    from unlearnbench.models.files.load import load
    from unlearnbench.models.files.source import card_for

    model = load(card_for(name), "cpu")
    for answer, keyword in (
        ("this person has type ab+ blood.", "ab+"),
        ("Dr. Jordan Miles, who was in room 312, saw them.", "room 312"),
        ("café crème brûlée", "brûlée"),
    ):
        ids = model.tokenizer(answer, add_special_tokens=False).input_ids
        chosen = value_logprobs(model, answer, [*map(float, range(len(ids) + 1))], [keyword])
        assert chosen == [*map(float, range(int(chosen[0]), int(chosen[-1]) + 1))]
        spelled = model.tokenizer.decode(ids[int(chosen[0]) : int(chosen[-1]) + 1])
        assert keyword in spelled
        assert len(spelled.strip()) <= len(keyword) + 2
        assert keyword[0] not in model.tokenizer.decode(ids[int(chosen[0]) - 1]) or answer.count(keyword[0]) > 1
    assert value_logprobs(model, "nothing here", [0.0] * 20, ["gout"]) is None
