"""Tables in files: read as they stand, or refused with the row and what to do."""

from pathlib import Path
from typing import Any

import pytest

from unlearnbench.data.tables import table, tables_in
from unlearnbench.errors import DataError


def rows(path: Path) -> list[tuple[str, dict[str, object]]]:
    with table(path) as found:
        return [(where.removeprefix(f"{path}, "), fields) for where, fields in found.rows]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("t.csv", b'q,a\n"x, y",007\n"two\nlines",NA\n', [("row 2", "x, y", "007"), ("row 3", "two\nlines", "NA")]),
        ("t.csv", b"q;a\nx,y;1\n\nz;\n", [("row 2", "x,y", "1"), ("row 4", "z", "")]),
        ("t.tsv", b"q\ta\nx, y; z\t1\n", [("row 2", "x, y; z", "1")]),
        ("t.CSV", "q,a\nä,1985-04-12\n".encode("utf-16"), [("row 2", "ä", "1985-04-12")]),
        ("t.csv", b"\xef\xbb\xbfq,a\nx,1\n", [("row 2", "x", "1")]),
        ("t.jsonl", b'{"q": "x", "a": 1}\n{"q": "1.10", "a": "y"}\n', [("line 1", "x", 1), ("line 2", "1.10", "y")]),
        ("t.json", b'[{"q": "x", "a": null}]', [("record 1", "x", None)]),
    ],
)  # fmt: skip
def test_cells_stay_what_they_are(
    tmp_path: Path, name: str, data: bytes, expected: list[tuple[str, object, object]]
) -> None:
    (tmp_path / name).write_bytes(data)
    assert [(where, fields["q"], fields["a"]) for where, fields in rows(tmp_path / name)] == expected


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "t.csv",
            b"q,a\n1,2\n1,2,3\n",
            "row 3: 3 cells, and the heading names 2 columns: put a text that has a comma in it",
        ),
        ("t.csv", b"q,a\n1,2,3\n4,5,6\n", "row 2: 3 cells, and the heading names 2 columns"),
        ("t.csv", b'\nq;a\n"two\nlines";2\n\n1;2;3\n', "row 5: 3 cells, .* a text that has a semicolon in it"),
        ("t.jsonl", b'{"q": 1}\n{"q": 1, "a": 2, "q": 3}\n', "line 2: an object has the key 'q' twice: leave one"),
        ("t.json", b'[{"q": {"a": 1, "a": 1}}]', "t.json: an object has the key 'a' twice"),
        ("t.csv", b"q,a\n\xe4,1\n", "line 2: not UTF-8 text: save the file as UTF-8"),
        ("t.csv", b"q,q\n1,2\n", "row 1: two columns are called 'q'"),
        ("t.csv", b"q,a\n", "has no row"),
        ("t.csv", b"", "has no row"),
        ("t.csv", b"PK\x03\x04", "a ZIP archive or an Excel sheet"),
        ("t.jsonl", b'{"q": 1}\n{"q":\n', "line 2: not valid JSON"),
        ("t.json", b"[1]", r"record 1: a row is an object"),
        ("t.json", b"[]", "has no row: an object"),
        ("t.parquet", b"PAR1", "is no readable table"),
        ("t.xlsx", b"", "is no table that can be read: give one of .csv"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as raised:
        rows(tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"q": (["1"], None), "facts": ([[("a", "b")]], "map")}, "column 'facts': cells of the type map<.*> cannot be"),
        ({"q": ([], "text")}, "has no row: give some"),
    ],
)
def test_a_sound_parquet_file_that_cannot_be_read_is_not_called_damaged(
    tmp_path: Path, fields: dict[str, tuple[list[Any], str | None]], message: str
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"map": pa.map_(pa.string(), pa.string()), "text": pa.string()}
    columns = {name: pa.array(values, kinds.get(kind or "")) for name, (values, kind) in fields.items()}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message) as raised:
        rows(tmp_path / "t.parquet")
    assert "damaged" not in str(raised.value)


def test_the_tables_of_a_folder_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("b.csv", "a.JSONL", ".c.csv", "picture.png", "qa.toml"):
        (tmp_path / name).touch()
    (tmp_path / "d.csv").mkdir()
    assert [path.name for path in tables_in(tmp_path)] == ["a.JSONL", "b.csv"]
