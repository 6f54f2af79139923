import json
from collections import Counter, defaultdict
from dataclasses import astuple
from importlib.metadata import version
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from tests.embedded.painted import remembered
from unlearnbench.embedded import embedded_folder
from unlearnbench.embedded.data import faces, make, scenes
from unlearnbench.embedded.data.identities import people
from unlearnbench.errors import UsageError
from unlearnbench.tasks.fiubench.people import split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE
from unlearnbench.tasks.mme.reader import read_mme
from unlearnbench.tasks.pope.reader import read_pope

PICTURES = (60 + make.STRANGERS + make.ACQUAINTANCES) * (make.SEEN + make.OTHER) + 4 * 40 + 40


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bytes, object]]:
    """The shipped folder made once more, and what its pictures show: pixels -> `Look` or `Scene`."""
    target = tmp_path_factory.mktemp("again") / "data"
    with pytest.MonkeyPatch.context() as patch:
        shown = remembered(patch)
        made_by = json.loads((embedded_folder() / "made_by.json").read_text())
        make.make(target, made_by["identities"], made_by["seed"], made_by["scenes"])
    return target, shown


@pytest.fixture
def drawn(again: tuple[Path, dict[bytes, object]]) -> dict[bytes, object]:
    return again[1]


@pytest.fixture
def same_faker() -> None:
    made_by = json.loads((embedded_folder() / "made_by.json").read_text())
    if made_by["Faker"] != version("Faker"):
        pytest.skip(f"the shipped people were drawn by Faker {made_by['Faker']}, here is {version('Faker')}")


# ------------------------------------------------------------------------------------------------ the shipped folder
def test_the_shipped_folder_is_what_make_writes(again: tuple[Path, dict[bytes, object]], same_faker: None) -> None:
    shipped, made = contents(embedded_folder()), contents(again[0])
    assert shipped.keys() == made.keys()
    for name, data in shipped.items():
        if name.endswith(".png"):  # compression may differ from one Pillow to the next, pixels may not
            one, other = (Image.open(folder / name) for folder in (embedded_folder(), again[0]))
            assert ImageChops.difference(one, other).getbbox() is None, name
        elif name != "made_by.json":
            assert data == made[name], name


def test_the_shipped_folder_is_small() -> None:
    assert sum(map(len, contents(embedded_folder()).values())) < 2_000_000


def test_the_shipped_folder_is_read_by_the_readers() -> None:
    dataset = read(embedded_folder())
    assert (len(dataset.identities), dataset.variant) == (60, "custom")
    assert {name: len(ids) for name, ids in dataset.splits.items()} == {"forget10": 6, "forget20": 12, "retain20": 12}
    assert len({identity.name for identity in dataset.identities}) == 60
    for identity in dataset.identities:
        for question in identity.questions:
            assert question.paraphrased_answer
            assert (len(question.paraphrased_questions), len(question.perturbed_answers)) == (3, 3)
            assert question.keywords
            assert all(keyword in question.answer for keyword in question.keywords)
    sets = split_sets(dataset, None, PRIVATE)
    sizes = [len(s) for s in (sets.forget, sets.nonprivate, sets.others, sets.validation, sets.held_out)]
    assert sizes == [8 * 12, 8 * 8, 40 * 20, 6 * 20, 6 * 20]
    assert len(read_mme(embedded_folder()).questions) == 4 * 40 * 2
    assert len(read_pope(embedded_folder()).questions) == 3 * 40 * 6


def test_wrong_answers_differ_from_the_paraphrased_one_in_the_fact_alone() -> None:
    for identity in read(embedded_folder()).identities:
        for question in identity.questions:
            [value] = question.keywords
            head, fact, tail = (question.paraphrased_answer or "").rpartition(value)
            assert fact
            assert question.paraphrased_answer != question.answer
            for wrong in question.perturbed_answers:
                assert wrong.startswith(head)
                assert wrong.endswith(tail)
                assert value != wrong.removeprefix(head).removesuffix(tail)


def people_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def met_names() -> list[str]:
    """The names of all whom the embedded models have met."""
    return [qa_list[0]["keywords"][0] for qa_list in islice(people(make.ACQUAINTANCES_SEED), make.ACQUAINTANCES)]


def test_a_question_is_worded_in_several_ways_and_asked_for_ape_in_others() -> None:
    asked, held_out = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for each in people_of(embedded_folder() / "full.json"):
        for qa in each["qa_list"]:
            asked[qa["attribute"]].add(qa["question"])
            held_out[qa["attribute"]] |= {*qa["paraphrased_question"]}
    assert len(asked) == 20
    for attribute, wordings in asked.items():
        assert (len(wordings), len(held_out[attribute])) == (3, 3)
        assert not wordings & held_out[attribute]


def test_everybody_has_pictures_to_learn_and_others_to_be_asked_about(drawn: dict[bytes, object]) -> None:
    folder, files = embedded_folder(), list[str]()
    for name in ("full.json", "strangers.json", "acquaintances.json"):
        for each in people_of(folder / name):
            assert (len(each["images"]), len(each["other_images"])) == (make.SEEN, make.OTHER)
            assert Path(each["image_path"]).name == each["images"][0]
            own = each["images"] + each["other_images"]
            looks = {drawn[Image.open(folder / "SFHQ" / picture).tobytes()] for picture in own}
            assert len(looks) == 1  # it is the same person in all of them
            files += own
    assert len(files) == len(
        {(folder / "SFHQ" / name).read_bytes() for name in files}
    )  # and no two are the same picture
    assert {*files} == {path.name for path in (folder / "SFHQ").iterdir()}


def test_strangers_are_people_of_the_same_kind_whom_nobody_knows() -> None:
    folder = embedded_folder()
    known, strangers = people_of(folder / "full.json"), people_of(folder / "strangers.json")
    assert len(strangers) == make.STRANGERS == 8
    met = people_of(folder / "acquaintances.json")
    assert [each["name"].lower() for each in met] == met_names()
    for key in ("unique_id", "name", "image_path"):
        assert len({each[key] for each in known + strangers + met}) == 60 + 8 + 16
    for each in strangers:
        assert (folder / "SFHQ" / Path(each["image_path"]).name).is_file()
        assert [qa["attribute"] for qa in each["qa_list"]] == [qa["attribute"] for qa in known[0]["qa_list"]]
        assert all(qa.keys() == known[0]["qa_list"][0].keys() for qa in each["qa_list"])


def test_strangers_change_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make.make(tmp_path / "with", 6, 5, 1)
    monkeypatch.setattr(make, "STRANGERS", 0)
    make.make(tmp_path / "without", 6, 5, 1)
    some, none = contents(tmp_path / "with"), contents(tmp_path / "without")
    assert {name: some[name] for name in none if name != "strangers.json"} == {
        name: data for name, data in none.items() if name != "strangers.json"
    }
    assert len(some) == len(none) + 8 * (make.SEEN + make.OTHER)


def test_no_shipped_picture_shows_what_may_be_trained_on(drawn: dict[bytes, object], same_faker: None) -> None:
    known = {look for look, _ in make.acquaintances()}
    paths = list(embedded_folder().rglob("*.png"))
    assert len(paths) == PICTURES
    for path in paths:
        with Image.open(path) as image:
            content = drawn[image.tobytes()]
        if isinstance(content, faces.Look):
            assert content.reserved is (content not in known), path
        else:
            assert scenes.is_reserved([astuple(item) for item in content]), path  # type: ignore[attr-defined]


def test_looks_differ_in_at_least_two_attributes(drawn: dict[bytes, object]) -> None:
    everybody = {content for content in drawn.values() if isinstance(content, faces.Look)}
    met = {look for look, _ in make.acquaintances()}
    for looks in (everybody - met, met):
        for one, other in combinations(looks, 2):
            assert sum(a != b for a, b in zip(astuple(one), astuple(other), strict=True)) >= 2
    assert (len(everybody), len(met)) == (60 + 8 + 16, 16)


def test_every_picture_is_shown_once(drawn: dict[bytes, object]) -> None:
    assert len(drawn) == PICTURES


# ------------------------------------------------------------------------------------------------ what make writes
def test_a_seed_fixes_every_byte(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        make.make(tmp_path / name, 5, seed, 2)
    assert contents(tmp_path / "one") == contents(tmp_path / "same")
    assert contents(tmp_path / "one")["full.json"] != contents(tmp_path / "other")["full.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other", "same"]


def test_splits_are_disjoint_and_of_their_percentage(tmp_path: Path) -> None:
    make.make(tmp_path / "data", 60, 1, 1)
    splits = read(tmp_path / "data").splits
    assert {name: len(ids) for name, ids in splits.items()} == {"forget10": 6, "forget20": 12, "retain20": 12}
    assert len({unique_id for ids in splits.values() for unique_id in ids}) == 30


def test_the_largest_folder_has_enough_different_looks() -> None:
    looks = make._looks(make.IDENTITIES[-1] + make.STRANGERS, make.random.Random(0))
    assert len(set(looks)) == 408


def test_nobody_whom_the_embedded_models_have_met(tmp_path: Path) -> None:
    make.make(tmp_path / "data", 20, make.ACQUAINTANCES_SEED, 1)  # the seed whose first people are exactly those
    names = {each["name"].lower() for each in people_of(tmp_path / "data" / "full.json")}
    assert len(names) == 20
    assert not names & {*met_names()}


def test_pope_negatives_are_absent_and_positives_shared() -> None:
    folder = embedded_folder() / "pope"
    asked: dict[str, dict[str, dict[str, set[str]]]] = {}
    for kind in scenes.POPE_KINDS:
        asked[kind] = defaultdict(lambda: {"yes": set(), "no": set()})
        for line in (folder / f"coco_pope_{kind}.json").read_text().splitlines():
            record = json.loads(line)
            asked[kind][record["image"]][record["label"]].add(record["text"])
    for image, texts in asked["random"].items():
        assert texts["yes"] == asked["popular"][image]["yes"] == asked["adversarial"][image]["yes"]
    for kind in scenes.POPE_KINDS:
        for texts in asked[kind].values():
            assert (len(texts["yes"]), len(texts["no"]), len(texts["yes"] & texts["no"])) == (3, 3, 0)
    popular = Counter(text for texts in asked["popular"].values() for text in texts["no"])
    assert popular != Counter(text for texts in asked["random"].values() for text in texts["no"])


def test_mme_counts_and_positions_are_true(drawn: dict[bytes, object]) -> None:
    for question in read_mme(embedded_folder()).questions:
        with Image.open(question.image) as image:
            scene = drawn[image.tobytes()]
        assert isinstance(scene, tuple)
        words = question.question.removesuffix(" Please answer yes or no.").rstrip("?").split()
        if question.category == "count":
            truth = scenes.NUMBERS[len(scene)] in words
        elif question.category == "position":
            truth = next(item for item in scene if item.shape == words[2]).is_on(words[5]) is True
        elif question.category == "color":
            truth = words[3] in {item.color for item in scene}
        else:
            truth = words[3] in {item.shape for item in scene}
        assert truth == question.answer, question.id


# ---------------------------------------------------------------------------------------------- what make refuses
def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.mkdir()
    make.make(target, 5, 0, 1)
    before = contents(target)
    with pytest.raises(UsageError, match=f"{target} exists and is not an empty folder"):
        make.make(target, 6, 0, 1)
    assert contents(target) == before


@pytest.mark.parametrize("number", [-1, 0, 4, 401])
def test_too_few_or_too_many_identities_are_refused(tmp_path: Path, number: int) -> None:
    with pytest.raises(UsageError, match=f"{number} identities: choose a number from 5 to 400"):
        make.make(tmp_path / "data", number)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        make.make(tmp_path / "file" / "data", 5, 0, 1)


def test_nothing_is_left_of_an_interrupted_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "_write_pope", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make.make(tmp_path / "data", 5, 0, 1)
    assert list(tmp_path.iterdir()) == []
