"""`unlearnbench score`, as a command of its own."""

import json

import pytest
import typer
from typer.testing import CliRunner

from unlearnbench.cli.score import score
from unlearnbench.errors import DataError, UsageError

app = typer.Typer()
app.command()(score)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def said(unique_id, prediction, **more):
    answer = "she has lupus."
    return {
        "unique_id": unique_id,
        "question": "What?",
        "answer": answer,
        "keywords": ["lupus"],
        "prediction": prediction,
        **more,
    }


@pytest.fixture
def predictions(tmp_path):
    return write(tmp_path / "said.jsonl", [said("a", "She has nonlupus"), said("b", "Dr. no. She has lupus", extra=1)])


def test_json_is_metric_name_to_number(predictions):
    result = invoke("fiubench", predictions, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"rouge_l": pytest.approx(5 / 6), "exact_match": 0.5}
    published = invoke("fiubench", predictions, "--scorer", "fiubench", "--json")
    assert json.loads(published.stdout) == {"rouge_l": pytest.approx(1 / 3), "exact_match": 0.5}


def test_the_order_of_lines_never_matters(predictions):
    before = invoke("fiubench", predictions).stdout
    lines = predictions.read_text().splitlines()
    predictions.write_text("\ufeff" + "\r\n\r\n".join(reversed(lines)), encoding="utf-8")
    assert invoke("fiubench", predictions).stdout == before


def test_the_table_names_the_scorer_and_shows_intervals(predictions):
    shown = invoke("fiubench", predictions).stdout
    assert "scorer strict" in shown
    assert "rouge_l" in shown
    assert "0.6667 to 1.0000" in shown


def test_an_undefined_metric_is_null(tmp_path):
    file = write(tmp_path / "said.jsonl", [said("a", "lupus", keywords=[])])
    assert json.loads(invoke("fiubench", file, "--json").stdout)["exact_match"] is None
    assert "undefined" in invoke("fiubench", file).stdout


def test_yes_no_tasks(tmp_path):
    pair = [
        {"id": f"count/1/{n}", "kind": "count", "image": "1.png", "answer": truth, "prediction": "Yes"}
        for n, truth in enumerate((True, False))
    ]
    file = write(tmp_path / "said.jsonl", pair)
    by_mme = json.loads(invoke("mme", file, "--json").stdout)
    assert by_mme == {"accuracy": 0.5, "accuracy_plus": 0, "perception": 50, "cognition": None}
    by_pope = json.loads(invoke("pope", file, "--json").stdout)
    assert (by_pope["accuracy"], by_pope["yes_ratio"], by_pope["count.accuracy"]) == (0.5, 1, 0.5)
    with pytest.raises(UsageError, match="mme has one scorer"):
        score("mme", file, "strict")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        (json.dumps({"unique_id": "a"}), "field question: Field required"),
        (json.dumps(said("a", None)), "field prediction: Input should be a valid string"),
        (json.dumps(said(7, "lupus")), "field unique_id: Input should be a valid string"),
        (json.dumps(said("a", "lupus", keywords=["x", 1])), r"field keywords\.1: Input should be a valid string"),
        (json.dumps(said("a", "lupus", keywords="lupus")), "field keywords: Input should be a valid array"),
    ],
)
def test_a_bad_line_is_named_with_the_fields_it_needs(tmp_path, line, message):
    file = tmp_path / "said.jsonl"
    file.write_text(json.dumps(said("a", "lupus")) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"said\.jsonl:3: .*{message}.* unique_id.*prediction") as caught:
        score("fiubench", file)
    assert "\n" not in str(caught.value)


def test_other_bad_input(tmp_path):
    with pytest.raises(DataError, match=r"absent\.jsonl is missing"):
        score("fiubench", tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        score("fiubench", tmp_path)
    empty = write(tmp_path / "empty.jsonl", [])
    with pytest.raises(DataError, match=r"empty\.jsonl holds no predictions"):
        score("fiubench", empty)
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="not UTF-8"):
        score("fiubench", binary)
    with pytest.raises(UsageError, match="did you mean strict"):
        score("fiubench", empty, "strikt")
    with pytest.raises(UsageError, match="cannot score 'mne': choose from fiubench, mme, pope"):
        score("mne", empty)
