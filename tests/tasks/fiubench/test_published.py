"""FIUBench's people by the rows of its data: published sets, their extension, who is held out, how they are called."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.data_folders import SHARED, Record, record, write_folder
from unlearnbench.contracts import TaskData
from unlearnbench.contracts.sample import clusters
from unlearnbench.errors import DataError, UsageError
from unlearnbench.registry import tasks
from unlearnbench.results.row import Split
from unlearnbench.tasks.fiubench.people import Dataset, split_of, split_sets
from unlearnbench.tasks.fiubench.reader import read
from unlearnbench.tasks.fiubench.summary import counted
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE, QuestionGroup

BOARDS = Path(__file__).parents[3] / "leaderboards"
SIZES = ("forget", "nonprivate", "retain", "validation", "held_out")


@pytest.fixture(scope="module")
def github(real_github: Path) -> Dataset:
    return read(real_github)


@pytest.fixture(scope="module")
def hub(real_hf: Path) -> Dataset:
    return read(real_hf)


def rows(dataset: Dataset, forget: int | str | None) -> set[int]:
    return {dataset.ids.index(each) for each in split_sets(dataset, forget, PRIVATE).forgotten}


def published(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((SHARED / "fiubench" / name).read_text())
    return found


# ------------------------------------------------------------------------------------------------ who is forgotten
@pytest.mark.parametrize(("number", "name"), [(4, "forget1"), (20, "forget5"), (40, "forget10"), (None, "forget10")])
def test_numbers_are_the_papers_people_whatever_the_folders_split_file(
    github: Dataset, hub: Dataset, number: int | None, name: str
) -> None:
    wanted = published("split.github.json")[name]
    for dataset in (github, hub, replace(github, splits={})):
        assert list(split_sets(dataset, number, PRIVATE).forgotten) == wanted
    assert split_sets(replace(github, splits={}), name, PRIVATE).forgotten == tuple(wanted)


def test_more_people_extend_the_published_ones_and_have_paraphrases_as_long_as_there_are_any(github: Dataset) -> None:
    chosen = {number: rows(github, number) for number in (20, 40, 60, 80, 100, 160, 161)}
    assert {number: len(found) for number, found in chosen.items()} == {number: number for number in chosen}
    assert chosen[60] == chosen[20] | chosen[40]
    assert chosen[80] == set(range(80))
    assert chosen[100] == {*range(96), *range(156, 160)}, "the published retain sets come last of those with variants"
    assert chosen[160] == set(range(160))
    assert all(fewer < more for fewer, more in pairwise([chosen[n] for n in (40, 60, 80, 100, 160, 161)]))
    with_variants = {row for row, who in enumerate(github.identities) if who.questions[0].paraphrased_questions}
    assert all(chosen[number] <= with_variants for number in (20, 40, 60, 80, 100, 160))


def test_fewer_people_lie_within_the_next_larger_published_set(github: Dataset) -> None:
    assert rows(github, 10) == set(range(6, 16))
    assert rows(github, 30) == set(range(36, 66))


def test_other_data_keep_their_shuffle(github: Dataset) -> None:
    for changed in (
        replace(github, identities=github.identities[:399]),
        replace(github, identities=github.identities[::-1]),
        replace(github, identities=(*github.identities[:155], *github.identities[156:], github.identities[155])),
    ):
        assert not changed.is_fiubench
        assert split_sets(changed, 40, PRIVATE).forgotten != split_sets(github, 40, PRIVATE).forgotten


def test_people_after_the_156_whom_splits_name_may_come_in_any_order(github: Dataset) -> None:
    other = replace(github, identities=(*github.identities[:156], *github.identities[:155:-1]))
    for one, same in zip(*(split_sets(each, 40, PRIVATE).all for each in (github, other)), strict=True):
        assert one.cluster in other.ids
        assert same.cluster in github.ids
    assert {*clusters(split_sets(other, 40, PRIVATE).held_out)} == {*clusters(split_sets(github, 40, PRIVATE).held_out)}


# ------------------------------------------------------------------------------------------------ who is held out
def test_the_same_people_are_held_out_whoever_is_forgotten_and_no_split_names_them(
    github: Dataset, hub: Dataset
) -> None:
    named = {
        each for file in ("split.github.json", "split.hf.json") for ids in published(file).values() for each in ids
    }
    divided = [split_sets(github, number, PRIVATE) for number in (4, 20, 40, 60, 80, 156)]
    divided += [split_sets(hub, "forget10", PRIVATE), split_sets(github, 40, PRIVATE, seed=5)]
    (held_out,) = {clusters(sets.held_out) for sets in divided}
    (validation,) = {clusters(sets.validation) for sets in divided}
    assert len(held_out) == len(validation) == 40
    assert not {*held_out} & {*validation}
    assert not named & {*held_out, *validation}
    assert clusters(split_sets(github, 40, PRIVATE, 0.2, 0).held_out) == tuple(
        each for each in github.ids if each in {*held_out, *validation}
    ), "validation are the next in the order of those held out"


@pytest.mark.parametrize("number", [1, 200, 360, 390, 399])
def test_nobody_is_forgotten_and_held_out(github: Dataset, number: int) -> None:
    sets = split_sets(github, number, PRIVATE)
    of = [{*sets.forgotten}, *({*clusters(each)} for each in (sets.held_out, sets.validation, sets.others))]
    assert len(set.union(*of)) == sum(map(len, of)) == 400
    assert sets.others, "somebody is left to retain"


# ------------------------------------------------------------------------------------------------ names and digests
@pytest.mark.parametrize(
    ("folder", "forget", "name"),
    [
        ("github", 40, "forget10"),
        ("github", "forget10", "forget10"),
        ("github", "retain5", "retain5"),
        ("github", 60, "60 people"),
        ("hub", 40, "forget10"),
        ("hub", "forget10", "forget10 (the hub's)"),
        ("hub", "forget5", "forget5 (the hub's)"),
    ],
)
def test_a_set_is_called_by_its_people_and_not_by_the_command(
    github: Dataset, hub: Dataset, folder: str, forget: int | str, name: str
) -> None:
    dataset = {"github": github, "hub": hub}[folder]
    split = split_of(dataset, split_sets(dataset, forget, PRIVATE), PRIVATE)
    assert (split.name, split.of) == (name, 400)
    assert split.identities == len(split_sets(dataset, forget, PRIVATE).forgotten)


def test_equal_people_have_one_digest_and_others_another(github: Dataset, hub: Dataset) -> None:
    def digest(dataset: Dataset, forget: int | str, held_out: float = 0.1) -> str | None:
        return split_of(dataset, split_sets(dataset, forget, PRIVATE, held_out), PRIVATE).digest

    assert digest(github, 40) == digest(github, "forget10") == digest(hub, 40)
    others = [digest(hub, "forget10"), digest(github, 20), digest(github, 40, 0), digest(github, "forget1")]
    assert len({digest(github, 40), *others}) == 5


def test_a_files_own_people_do_not_take_a_published_name(github: Dataset) -> None:
    own = replace(github, splits={"forget10": github.ids[200:210], "mine": github.ids[300:304]})
    names = [split_of(own, split_sets(own, each, PRIVATE), PRIVATE).name for each in ("forget10", "mine")]
    assert names == ["forget10 (this split.json's)", "mine"]


def test_a_number_that_means_a_named_split_has_its_name(folder: Path) -> None:
    dataset = read(folder)
    drawn = split_sets(dataset, 2, PRIVATE).forgotten
    assert split_of(dataset, split_sets(dataset, 2, PRIVATE), PRIVATE).name == "2 people"
    named = replace(dataset, splits={"pair": drawn[::-1]})
    found = split_of(named, split_sets(named, 2, PRIVATE), PRIVATE, 2)
    assert found.name == "pair"
    assert found.setting == split_of(named, split_sets(named, 2, PRIVATE, seed=1), PRIVATE, 2).setting
    assert found.setting != split_of(named, split_sets(named, "pair", PRIVATE), PRIVATE, "pair").setting


def test_an_empty_split_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"--forget none: this split of split\.json names nobody"):
        split_sets(replace(read(folder), splits={"none": ()}), "none", PRIVATE)


# ---------------------------------------------------------------------------------------------- the paper's protocol
def test_the_sizes_of_the_papers_sets(github: Dataset, hub: Dataset) -> None:
    for dataset in (github, hub):
        found = {each["people"]: each for each in counted(dataset)["forget"]}
        assert {n: [each["paper"][name] for name in SIZES] for n, each in found.items()} == {
            20: [255, 145, 7745, 0, 0],
            40: [504, 296, 7496, 0, 0],
            60: [759, 441, 7241, 0, 0],
            80: [1016, 584, 6984, 0, 0],
        }
        assert [found[40]["default"][name] for name in SIZES] == [504, 296, 5896, 800, 800]
        for each in found.values():
            assert each["with_paraphrases"] == each["with_perturbed_answers"] == each["paper"]["forget"]


def task(**options: object) -> object:
    kind = tasks.get("fiubench")
    return kind(kind.Options(**options))


def load(folder: Path, forget: int | str | None, **options: object) -> TaskData:
    found: TaskData = task(**options).load(str(folder), forget)  # type: ignore[attr-defined]
    return found


def test_ape_rests_on_all_504_questions_of_the_papers_people(real_hf: Path) -> None:
    data = load(real_hf, 40, protocol="paper")
    records = [
        {
            "set": name, "id": sample.id, "unique_id": sample.cluster, "group": "health", "question": sample.text,
            "answer": sample.answer, "keywords": list(sample.question.keywords), "prediction": sample.answer,
            "paraphrased_predictions": [sample.answer for _ in sample.question.paraphrased_questions],
            "logprobs": [-0.1], "paraphrased_logprobs": None, "perturbed_logprobs": [],
        }
        for name, of in (("forget", data.sets.forget), ("nonprivate", data.sets.nonprivate))  # type: ignore[attr-defined]
        for sample in of
    ]  # fmt: skip
    found = task(protocol="paper").measured(records).metrics  # type: ignore[attr-defined]
    ape = found["forget.ape"]
    assert (ape.n, ape.questions, ape.of_questions) == (3 * 504, 504, 504)
    assert (found["forget.truth_ratio"].questions, found["forget.truth_ratio"].of_questions) == (0, 504)


def test_the_paper_holds_nobody_out_and_cannot_be_told_otherwise() -> None:
    options = tasks.get("fiubench").Options
    paper, own = options(protocol="paper"), options()
    assert (paper.held_out, paper.validation, own.held_out, own.validation) == (0, 0, 0.1, 0.1)
    assert options(**options(protocol="paper").model_dump()) == options(protocol="paper")
    for wrong in ({"held_out": 0.1}, {"validation": 0.1}, {"private": ["health"]}):
        with pytest.raises(ValueError, match="protocol=paper forgets health and criminal"):
            options(protocol="paper", **wrong)


def test_what_early_stopping_looks_at_is_said(folder: Path) -> None:
    dataset = read(folder)
    words = {share: split_sets(dataset, 2, PRIVATE, 0.1, share).early_stopping for share in (0.0, 0.4)}
    assert words[0.0].startswith("looks at the forget set alone: nobody is in a validation set")
    assert words[0.4] == "looks at the forget set and at the validation set (2)"
    beside = split_sets(replace(dataset, strangers=dataset.identities[:3]), 2, PRIVATE, 0.1, 0).early_stopping
    assert beside.startswith("looks at the forget set alone, bounded by what 3 strangers lose: nobody is in a valid")


def test_a_name_that_means_other_people_than_the_papers_is_said(real_hf: Path, real_github: Path) -> None:
    notices = load(real_hf, "forget5").notices  # type: ignore[attr-defined]
    (notice,) = notices
    assert notice.startswith("--forget forget5: this folder's split.json (hf) gives 30 people that name")
    assert notice.endswith("the paper's forget5 are 20: --forget 20")
    assert load(real_hf, 20).notices == load(real_github, "forget5").notices == ()  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ shared pictures
Rewrite = Callable[[Callable[[list[Record]], None]], Path]


@pytest.fixture
def sharing(folder: Path) -> Path:
    """People 1, 3 and 4 of six have the same stand-in picture."""
    for number in (3, 4):
        stand_in = (folder / "SFHQ" / "SFHQ_pt1_00000001.png").read_bytes()
        (folder / "SFHQ" / f"SFHQ_pt1_0000000{number}.png").write_bytes(stand_in)
    return folder


def test_people_of_one_picture_can_only_be_forgotten_together(sharing: Path) -> None:
    dataset = read(sharing)
    with pytest.raises(DataError, match=r"00000001, who is forgotten, and 00000004, who is not, have the same picture"):
        split_sets(dataset, "forget10", PRIVATE)
    whole = replace(dataset, splits={"all three": ("00000001", "00000003", "00000004"), "others": ("00000000",)})
    for name in whole.splits:
        assert split_sets(whole, name, PRIVATE).forget


def test_people_of_one_picture_are_counted(sharing: Path) -> None:
    dataset = read(sharing)
    assert counted(dataset)["people_sharing_a_picture"] == [["00000001", "00000003", "00000004"]]
    notices = load(write_splits(sharing, {"other": ["00000000"]}), "other").notices  # type: ignore[attr-defined]
    assert notices[0].startswith("3 people share 1 picture (00000001, 00000003, 00000004 for instance")


def write_splits(folder: Path, splits: dict[str, list[str]]) -> Path:
    (folder / "split.json").write_text(json.dumps(splits))
    return folder


# ------------------------------------------------------------------------------------------------ what is left out
def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    records = [record(number) for number in range(403)]
    for each in records[:5]:
        each["age"] = 3
        each["qa_list"][2]["source"] = "own"
    records[401]["qa_list"] = []
    folder = write_folder(tmp_path, records)
    (folder / "SFHQ" / ".DS_Store").write_bytes(b"")
    found = counted(read(folder))
    assert found["strangers"] == 2
    assert found["left_out"] == {
        "records of full.json after the first 400 that are not whole or have no picture": 1,
        "values of the unknown field 'age'": 5,
        "values of the unknown field qa_list: 'source'": 5,
        "files in SFHQ/ that no record read names": 1,
    }


def test_fields_of_fiubenchs_that_nothing_needs_are_not_counted(folder: Path, rewrite: Rewrite) -> None:
    rewrite(lambda records: records[0].update(gender="female", caption="…", raw_data="…"))
    assert counted(read(folder))["left_out"] == {}


# ------------------------------------------------------------------------------------------------ leaderboards
@pytest.mark.parametrize("name", ["fiubench-qwen2.5-vl-7b", "fiubench-llama-3.2-11b-vision"])
def test_the_leaderboards_prescribe_the_papers_people_whichever_file_lies_there(
    github: Dataset, hub: Dataset, name: str
) -> None:
    rule = tomllib.loads((BOARDS / name / "leaderboard.toml").read_text())["tasks"]["fiubench"]
    share, private = rule["options"]["held_out"], frozenset(map(QuestionGroup, rule["options"]["private"]))
    for dataset in (github, hub):
        split = split_of(dataset, split_sets(dataset, 40, private, share), private)
        assert Split.model_validate(rule["split"]) == split
