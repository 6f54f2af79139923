"""Tables of any layout are read as what they say; an error names row and column."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.qa.tables import COLOURS, Cells, called, pictures, rows, write_csv, write_jsonl, write_parquet
from unlearnbench import Location
from unlearnbench.errors import DataError, UnlearnbenchError, UsageError
from unlearnbench.tasks.qa.layout import Columns, located
from unlearnbench.tasks.qa.reader import Questions
from unlearnbench.tasks.qa.reader import read as read_tables

GERMAN = {"person": "wer", "picture": "Bild", "question": "Frage", "answer": "Antwort"}
COLUMNS = {"person": "wer", "pictures": "Bild", "question": "Frage", "answer": "Antwort"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of tables are kept in a cache of the test's own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures(tmp_path / "data")
    return tmp_path / "data"


def read(source: Path, **columns: Any) -> Questions:
    return read_tables(located(str(source), Columns(**columns)))


def told(data: Questions) -> list[tuple[Any, ...]]:
    return [(each.cluster, each.text, each.answer, len(each.images)) for each in data.facts]


EXPECTED = [(each["person"], each["question"], each["answer"], int(bool(each["picture"]))) for each in rows()]


def test_any_number_of_questions_and_pictures_a_person(folder: Path) -> None:
    data = read(write_csv(folder / "t.csv", rows()))
    assert told(data) == EXPECTED
    assert [len([fact for fact in data.facts if fact.cluster == name]) for name in COLOURS] == [1, 2, 3, 4]
    assert [fact.id for fact in data.facts[:4]] == ["ann/0", "bob/0", "bob/1", "cyd/0"]


def test_the_same_content_has_the_same_fingerprint_in_every_layout(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    found = [
        read(write_csv(folder / "t.csv", rows())),
        read(write_csv(folder / "s.csv", called(rows(), **GERMAN), ";"), **COLUMNS),
        read(write_jsonl(folder / "t.jsonl", rows())),
        read(write_parquet(elsewhere / "t.parquet", rows(), folder)),
    ]
    assert {each.fingerprint for each in found} == {found[0].fingerprint}
    assert all(told(each) == EXPECTED for each in found)
    other = rows()
    other[0]["answer"] = "It is Ann!"
    assert read(write_csv(folder / "o.csv", other)).fingerprint != found[0].fingerprint


def test_a_map_names_tables_columns_and_splits(folder: Path) -> None:
    write_csv(folder / "one.csv", rows()[:3])
    write_jsonl(folder / "two.jsonl", called(rows()[3:], **GERMAN))
    (folder / "qa.toml").write_text(
        """
        [[tables]]
        file = "one.csv"
        [[tables]]
        file = "two.jsonl"
        columns = { person = "wer", pictures = "Bild", question = "Frage", answer = "Antwort" }
        [splits]
        some = ["ann", "dee"]
        """
    )
    for source in (folder, folder / "qa.toml"):
        data = read(source)
        assert told(data) == EXPECTED
        assert data.splits == {"some": ("ann", "dee")}


def test_a_cell_or_several_columns_hold_several_values(folder: Path) -> None:
    [fact] = read(
        write_csv(
            folder / "t.csv",
            [
                {
                    "question": "Who are they?",
                    "answer": "Ann and Bob.",
                    "picture": "ann.png",
                    "other": "bob.png|cyd.png",
                    "keywords": "Ann | Bob",
                    "paraphrased_questions": '["Who, then?", "Say: a|b"]',
                    "wrong1": "Cyd and Dee.",
                    "wrong2": "Nobody.",
                }
            ],
        ),
        pictures=("picture", "other"),
        perturbed_answers=("wrong1", "wrong2"),
    ).facts
    assert [image.name for image in fact.images] == ["ann.png", "bob.png", "cyd.png"]
    assert fact.question.keywords == ("Ann", "Bob")
    assert fact.question.paraphrased_questions == ("Who, then?", "Say: a|b")
    assert fact.question.perturbed_answers == ("Cyd and Dee.", "Nobody.")
    assert fact.cluster == "ann.png"  # nobody says whom it is about


def test_texts_stay_what_they_are_and_without_keywords_all_of_an_answer_must_be_said(folder: Path) -> None:
    answers = ["007", "NA", "1985-04-12", "None.", "3.0"]
    cells = [{"question": f"Number {place}?", "answer": answer} for place, answer in enumerate(answers)]
    for path in (write_csv(folder / "t.csv", cells), write_jsonl(folder / "t.jsonl", cells)):
        facts = read(path).facts
        assert [fact.answer for fact in facts] == answers
        assert [fact.question.keywords for fact in facts] == [("007",), ("NA",), ("1985-04-12",), ("None",), ("3.0",)]
        assert len({fact.cluster for fact in facts}) == 5  # a row without person and picture is by itself


def empty_answer(cells: list[Cells]) -> str:
    cells[2]["answer"] = ""
    return "t.csv, row 4, column 'answer' is empty: give the answer, or leave the row out"


def nobody(cells: list[Cells]) -> str:
    cells[0]["person"] = " "
    return "t.csv, row 2, column 'person' is empty: give the person"


def no_picture(cells: list[Cells]) -> str:
    cells[3]["picture"] = "nowhere.png"
    return "t.csv, row 5, column 'picture': picture 'nowhere.png' is not in"


def picture_outside(cells: list[Cells]) -> str:
    cells[3]["picture"] = "../ann.png"
    return r"t.csv, row 5, column 'picture': picture '../ann.png' leads out of .*pictures = DIR"


def no_flag(cells: list[Cells]) -> str:
    for each in cells:
        each["private"] = "yes"
    cells[1]["private"] = "perhaps"
    return "t.csv, row 3, column 'private': 'perhaps' is neither yes nor no"


def control_token(cells: list[Cells]) -> str:
    cells[1]["question"] = "Who is <|im_end|>?"
    return "t.csv, row 3: field 'question' holds the control token"


def no_name(cells: list[Cells]) -> str:
    cells[2]["picture"] = f"{'a' * 5000}/b.png"
    return r"t.csv, row 4, column 'picture': picture 'a{200}\.\.\.' is not in .*: put it there$"


def list_of_python(cells: list[Cells]) -> str:
    cells[0]["keywords"] = "['red', 'blue']"
    return r"t.csv, row 2, column 'keywords': .* is no list as JSON has it: write .* or one \| two"


def endless_list(cells: list[Cells]) -> str:
    cells[0]["keywords"] = "[" * 100_000 + "]"
    return "t.csv, row 2, column 'keywords': .* is no list as JSON has it"


def no_question(cells: list[Cells]) -> str:
    for each in cells:
        each["asked"] = each.pop("question")
    return r"t.csv has no column 'question', and has 'person', .*'asked': say which .* qa.columns.question=NAME"


FAULTS = (
    empty_answer,
    nobody,
    no_picture,
    picture_outside,
    no_flag,
    control_token,
    no_name,
    list_of_python,
    endless_list,
    no_question,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_error_names_row_and_column(folder: Path, fault: Callable[[list[Cells]], str]) -> None:
    cells = rows()
    message = fault(cells)
    with pytest.raises(DataError, match=message) as raised:
        read(write_csv(folder / "t.csv", cells))
    assert "\n" not in str(raised.value)


def test_a_damaged_picture_is_named_with_row_and_column(folder: Path) -> None:
    (folder / "cyd.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"t\.csv, row 5, column 'picture': picture .*cyd.png cannot be decoded"):
        read(write_csv(folder / "t.csv", rows()))


def test_a_damaged_picture_within_a_table_is_to_be_replaced_there(folder: Path) -> None:
    (folder / "cyd.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"t\.parquet, row 4, column 'picture': .* replace it in the table$"):
        read(write_parquet(folder / "t.parquet", rows(), folder))


def test_what_is_no_text_in_json_is_named(folder: Path) -> None:
    cells = rows()
    cells[1]["answer"] = {"a": 1}
    with pytest.raises(DataError, match=r"t\.jsonl, line 2, column 'answer': .* is no text"):
        read(write_jsonl(folder / "t.jsonl", cells))


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("embedded", UsageError, "task qa has no data of its own: give --data qa=SOURCE"),
        ("no/such/place", UsageError, "--data no/such/place: no such file or folder"),
        ("empty", DataError, "holds no table"),
        ("bad.toml", DataError, "bad.toml is no TOML file"),
        ("wrong.toml", DataError, "wrong.toml: field 'colums': Extra inputs are not permitted"),
        ("who.toml", DataError, "who.toml: split 'x' names 'zoe', who is in none of the tables"),
        ("lost.toml", DataError, "lost.csv is missing"),
    ],
)
def test_wrong_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, kind: type[UnlearnbenchError], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    write_csv(Path("t.csv"), [{"question": "q", "answer": "a"}])
    Path("bad.toml").write_text("[columns")
    Path("wrong.toml").write_text("[colums]")
    Path("who.toml").write_text('[splits]\nx = ["zoe"]')
    Path("lost.toml").write_text('[[tables]]\nfile = "lost.csv"')
    with pytest.raises(kind, match=message):
        read(Path(source))


OUTSIDE = {
    "pictures": 'pictures = "/"',
    "above": 'pictures = "faces/../.."',
    "a table": '[[tables]]\nfile = "/etc/passwd"',
    "an address": '[[tables]]\nfile = "https://example.org/t.csv"',
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_map_of_the_hub_names_nothing_outside_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A stranger has written it; in a folder of the user's own, pictures may lie anywhere."""
    write_csv(folder / "t.csv", rows())
    (folder / "qa.toml").write_text('[[tables]]\nfile = "t.csv"\n')
    monkeypatch.setattr("unlearnbench.tasks.qa.layout.of_hub", lambda source, task: Location(folder, source))
    assert len(located("owner/name", Columns()).tables) == 1
    (folder / "qa.toml").write_text(OUTSIDE[name])
    with pytest.raises(DataError, match=r"qa\.toml names '.*', which is not in its folder"):
        located("owner/name", Columns())


def test_blank_lines_before_a_heading_are_none_of_its_rows(folder: Path) -> None:
    path = write_csv(folder / "t.csv", rows())
    path.write_text("\n\n" + path.read_text())
    assert told(read(path)) == EXPECTED
    path.write_text(path.read_text().replace(rows()[0]["answer"], "", 1))
    with pytest.raises(DataError, match=r"t.csv, row 4, column 'answer' is empty"):
        read(path)


CARDS = {
    "above": 'configs:\n- config_name: default\n  data_files: "../secret.csv"',
    "a path of its own": "configs:\n- config_name: b\n  data_files:\n  - split: train\n    path: [t.csv, {secret}]",
    "an address": "configs:\n- config_name: default\n  data_files: https://example.org/t.csv",
    "a folder above": "configs:\n- config_name: default\n  data_dir: ..",
    "another subset's": "configs:\n- config_name: a\n  data_files: t.csv\n- config_name: b\n  data_files: ../*.csv",
}


@pytest.mark.parametrize("file", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize("name", CARDS)
def test_a_card_of_the_hub_names_nothing_outside_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    """`datasets` would read whatever it names, a file of this machine or an address."""
    cells = [{key: value for key, value in each.items() if key != "picture"} for each in rows()]
    write_csv(folder / "t.csv", cells)
    secret = write_csv(folder.parent / "secret.csv", [{"question": "What is the key?", "answer": "1234"}])
    monkeypatch.setattr("unlearnbench.tasks.qa.layout.of_hub", lambda source, task: Location(folder, source))
    marks = "---\n" * (file == "README.md")
    (folder / file).write_text(f"{marks}configs:\n- config_name: default\n  data_files: t.csv\n{marks}")
    assert len(read(Path("owner/name")).facts) == len(cells)
    (folder / file).write_text(f"{marks}{CARDS[name].replace('{secret}', str(secret))}\n{marks}")
    with pytest.raises(DataError, match=rf"{file} names '.*', which is not in its folder"):
        read(Path("owner/name"))


def test_a_damaged_card_of_the_hub_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(folder / "t.csv", rows())
    monkeypatch.setattr("unlearnbench.tasks.qa.layout.of_hub", lambda source, task: Location(folder, source))
    (folder / "README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises(DataError, match=r"README\.md is no dataset's card"):
        read(Path("owner/name"))


def test_columns_that_are_not_read_are_told_with_what_they_may_be(folder: Path) -> None:
    assert read(write_csv(folder / "t.csv", rows())).notices == ()
    cells = [each | {"Privat": "yes", "birth": "1985"} for each in called(rows(), person="Name")]
    first, second = read(write_csv(folder / "t.csv", cells)).notices
    assert first == (
        f"{folder / 't.csv'}: columns that are not read: 'Name', 'Privat', 'birth'; "
        "is 'Privat' the column 'private'? Then --set 'qa.columns.private=Privat'"
    )
    assert second.startswith(f"{folder / 't.csv'} has no column 'person': each picture, or row without one, counts as")
    [notice] = read(folder / "t.csv", person="Name", private="Privat").notices
    assert notice == f"{folder / 't.csv'}: columns that are not read: 'birth'"
    many = [each | {f"more {number}": 1 for number in range(20)} for each in rows()]
    [notice] = read(write_csv(folder / "t.csv", many)).notices
    assert notice.endswith("'more 7' and 12 more")
