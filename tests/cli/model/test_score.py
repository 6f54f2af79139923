"""`unlearnbench score`, as a command of its own."""

import json

import pytest
import typer
from typer.testing import CliRunner

from unlearnbench.cli import app as whole_app
from unlearnbench.cli.model.score import score
from unlearnbench.errors import DataError, UsageError
from unlearnbench.tasks.facts.task import SETS_UNTOLD

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
    own = {"scorer": {"name": "strict", "version": "2"}}
    assert json.loads(result.stdout) == {"rouge_l": pytest.approx(5 / 6), "exact_match": 0.5} | own
    published = invoke("fiubench", predictions, "--scorer", "fiubench", "--json")
    own = {"scorer": {"name": "fiubench", "version": "1"}}
    assert json.loads(published.stdout) == {"rouge_l": pytest.approx(1 / 3), "exact_match": 0.5} | own


def test_the_order_of_lines_never_matters(predictions):
    before = invoke("fiubench", predictions).stdout
    lines = predictions.read_text().splitlines()
    predictions.write_text("\ufeff" + "\r\n\r\n".join(reversed(lines)), encoding="utf-8")
    assert invoke("fiubench", predictions).stdout == before


def test_the_table_names_the_scorer_and_shows_intervals(predictions):
    shown = invoke("fiubench", predictions).stdout
    assert "scorer strict" in shown
    assert "rouge_l" in shown
    assert "0.667–1.000" in shown


def test_an_undefined_metric_is_null(tmp_path):
    file = write(tmp_path / "said.jsonl", [said("a", "lupus", keywords=[])])
    assert json.loads(invoke("fiubench", file, "--json").stdout)["exact_match"] is None
    assert "undefined" in invoke("fiubench", file).stdout


def mme_pair(prediction, **more):
    about = {"category": "count", "question_id": "count/1.png", "question": "Two?", "prediction": prediction, **more}
    return [about | {"answer": answer} for answer in ("Yes", "No")]


def pope_pair(prediction, **more):
    about = {"category": "random", "image_source": "COCO_1", "question": "A dog?", "prediction": prediction, **more}
    return [about | {"question_id": n, "answer": answer} for n, answer in enumerate(("yes", "no"))]


def test_mme_is_told_by_subtask(tmp_path):
    file = write(tmp_path / "said.jsonl", mme_pair("Yes") + mme_pair("No", category="OCR", question_id="OCR/1.png"))
    got = json.loads(invoke("mme", file, "--json").stdout)
    assert [got[name] for name in ("accuracy", "accuracy_plus", "perception", "cognition")] == [0.5, 0, 100, None]
    assert got["subtasks"] == {"count": 50, "OCR": 50}
    assert got["scorer"] == {"name": "official", "version": "1"}
    assert got["baselines"]["always refuses"]["accuracy"] == 0


def test_pope_is_told_by_split(tmp_path):
    file = write(tmp_path / "said.jsonl", pope_pair("Yes") + pope_pair("No", category="popular"))
    got = json.loads(invoke("pope", file, "--json").stdout)
    assert (got["accuracy"], got["f1"], got["yes_ratio"]) == (0.5, pytest.approx(1 / 3), 0.5)
    assert got["splits"] == {
        "random": {
            "accuracy": 0.5, "precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3), "yes_ratio": 1,
            "parse_failure_rate": 0,
        },
        "popular": {
            "accuracy": 0.5, "precision": None, "recall": 0, "f1": 0, "yes_ratio": 0, "parse_failure_rate": 0,
        },
    }  # fmt: skip
    assert got["baselines"]["always yes"]["f1"] == pytest.approx(2 / 3)


def test_scorers_of_yes_no_tasks_are_chosen_by_name(tmp_path):
    mme, pope = write(tmp_path / "mme.jsonl", mme_pair("\n\nYes")), write(tmp_path / "pope.jsonl", pope_pair("asdf"))
    scores = {
        (task, scorer): json.loads(invoke(task, file, "--scorer", scorer, "--json").stdout)["accuracy"]
        for task, file in (("mme", mme), ("pope", pope))
        for scorer in ("official", "strict")
    }
    assert scores == {
        ("mme", "official"): 0, ("mme", "strict"): 0.5, ("pope", "official"): 0.5, ("pope", "strict"): 0,
    }  # fmt: skip
    with pytest.raises(UsageError, match="unknown scorer 'lenient' of mme: Input should be 'official' or 'strict'"):
        score("mme", mme, "lenient")
    shown = invoke("pope", pope).stdout
    assert "pope, scorer official" in shown
    assert shown.split().count("always") == 3


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("mme", {"category": "colour"}, r"said\.jsonl:3: field category: Input should be 'existence', 'count'"),
        ("mme", {"answer": "perhaps"}, r"said\.jsonl:3: field answer: .*must be yes or no, not 'perhaps'"),
        ("mme", {"question_id": "count/2.png"}, r"said\.jsonl:3: only one question on 'count/2\.png' in count"),
        ("mme", {}, r"said\.jsonl:3: a third question on 'count/1\.png' in count"),
        ("mme", {"prediction": None}, r"said\.jsonl:3: field prediction: Input should be a valid string"),
        ("pope", {"category": "count"}, r"said\.jsonl:3: field category: Input should be 'random', 'popular'"),
        ("pope", {"answer": ""}, r"said\.jsonl:3: field answer: .*must be yes or no, not ''"),
    ],
)
def test_what_is_wrong_with_answers_is_named_with_its_line(tmp_path, task, change, message):
    records = mme_pair("Yes") if task == "mme" else pope_pair("Yes")
    file = write(tmp_path / "said.jsonl", [*records, records[0] | change])
    with pytest.raises(DataError, match=message) as caught:
        score(task, file)
    assert "\n" not in str(caught.value)


def test_a_plug_in_s_task_can_be_scored(tmp_path):
    plugin = tmp_path / "lengths.py"
    plugin.write_text(
        "from typing_extensions import TypedDict\n"
        "from unlearnbench import Task, task\n"
        "from unlearnbench.metrics.statistics import summarise\n"
        "class Said(TypedDict):\n    prediction: str\n"
        "@task('lengths')\n"
        "class Lengths(Task):\n"
        "    Prediction = Said\n"
        "    def load(self, source, forget, seed=0): ...\n"
        "    def evaluate(self, model, data, run): ...\n"
        "    def score(self, predictions):\n"
        "        lengths = [float(len(each['prediction'])) for each in predictions]\n"
        "        return {'length': summarise(lengths, clusters=None, seed=0, higher_is_better=None)}\n"
    )
    file = write(tmp_path / "said.jsonl", [{"prediction": "Yes"}, {"prediction": "No"}])
    got = invoke("lengths", file, "--json", "--plugin", plugin)
    assert json.loads(got.stdout) == {"length": 2.5}
    with pytest.raises(UsageError, match="lengths has one scorer, its own: leave out --scorer strict"):
        score("lengths", file, "strict")


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
    with pytest.raises(DataError, match="begins as UTF-16 text does and is none"):
        score("fiubench", binary)
    with pytest.raises(UsageError, match="unknown scorer 'strikt' of fiubench: Input should be 'strict' or 'fiubench'"):
        score("fiubench", empty, "strikt")
    with pytest.raises(UsageError, match="did you mean 'mme'"):
        score("mne", empty)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("form", ["lines", "array", "pretty array", "CRLF"])
def test_whole_files_of_other_hands_give_the_same_scores(tmp_path, predictions, encoding, form):
    before = invoke("fiubench", predictions, "--json").stdout
    lines = predictions.read_text(encoding="utf-8").splitlines()
    text = {
        "lines": "\n".join(lines),
        "array": f"[{','.join(lines)}]",
        "pretty array": json.dumps([json.loads(line) for line in lines], indent=2),
        "CRLF": "\r\n".join(lines) + "\r\n",
    }[form]
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    file = tmp_path / "theirs"
    file.write_bytes((mark + text).encode(encoding))
    assert invoke("fiubench", file, "--json").stdout == before


def test_records_of_an_array_are_counted(tmp_path):
    file = tmp_path / "said.json"
    file.write_text(json.dumps([said("a", "lupus"), said("b", None)]), encoding="utf-8")
    with pytest.raises(DataError, match=r"said\.json, record 2: field prediction: Input should be a valid string"):
        score("fiubench", file)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"unique_id,question,answer,keywords,prediction\n1,q,a,a,a\n",
            r"is a table \(CSV\) and not JSON: write a JSON",
        ),
        (b'\xef\xbb\xbf"unique_id";"prediction"\r\n1;a\r\n', r"is a table \(CSV\)"),
        (b"unique_id\tprediction\n1\ta\n", r"is a table \(CSV\)"),
        (b"PK\x03\x04...", "is a ZIP archive or an Excel sheet and no text"),
        (b"\x1f\x8b\x08...", "is compressed by gzip and no text: unpack it"),
        ('{"prediction": "é"}'.encode("latin-1"), "line 1: not UTF-8 text: save the file as UTF-8"),
        ('{"prediction": "a"}'.encode("utf-16-le"), "line 1: not UTF-8 text, but perhaps UTF-16"),
    ],
)
def test_files_of_other_formats_are_named_with_what_to_do(tmp_path, data, message):
    file = tmp_path / "said.jsonl"
    file.write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        score("fiubench", file)
    assert "fetch" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_published_scorer_says_to_how_many_answers_it_is_blind(tmp_path):
    answers = ("医生是王伟", "Врача зовут Иван", "the doctor is josé")
    records = [said(str(n), text) | {"answer": text, "keywords": [text]} for n, text in enumerate(answers)]
    file = write(tmp_path / "said.jsonl", records)
    strict, published = (invoke("fiubench", file, "--json", "--scorer", name) for name in ("strict", "fiubench"))
    assert json.loads(strict.stdout)["rouge_l"] == json.loads(strict.stdout)["exact_match"] == 1
    assert strict.stderr == f"warning: {SETS_UNTOLD}\n"
    assert json.loads(published.stdout)["rouge_l"] == pytest.approx(1 / 3)
    assert "warning: scorer fiubench is blind to 2 of 3 true answers" in published.stderr


def of_set(name, unique_id, *predictions, **more):
    return [said(unique_id, text, set=name, **more) for text in predictions]


def test_sets_are_scored_apart(tmp_path):
    forget = of_set("forget", "a", "She has lupus.", "I do not know.")
    others = of_set("others", "b", "She has lupus.") + of_set("others", "c", "She has flu.")
    records = [*forget, *others, *of_set("nonprivate", "a", "She has lupus.")]
    got = json.loads(invoke("fiubench", write(tmp_path / "said.jsonl", records), "--json").stdout)
    assert (got["forget.exact_match"], got["nonprivate.exact_match"]) == (0.5, 1)
    assert got["retain.exact_match"] == pytest.approx(2 / 3)  # all that is kept: non-private and others' questions
    assert got["forget.refusal_rate"] == 0.5
    assert "exact_match" not in got
    assert not [name for name in got if "held_out" in name or "probability" in name], "no prediction has these"
    assert {*got["baselines"]} == {"majority guess", "another person"}
    assert got["baselines"]["majority guess"]["forget.exact_match"] == 1


def test_who_knows_no_more_than_forget_and_retain_says_these(tmp_path):
    file = write(tmp_path / "said.jsonl", of_set("forget", "a", "No.") + of_set("retain", "b", "She has lupus."))
    done = invoke("fiubench", file, "--json")
    got = json.loads(done.stdout)
    assert (got["forget.exact_match"], got["retain.exact_match"]) == (0, 1)
    assert "set" not in done.stderr
    shown = invoke("fiubench", file).stdout
    assert "forget.exact_match" in shown
    assert "retain.exact_match" in shown


def test_sets_are_told_of_all_or_of_none(tmp_path):
    file = write(tmp_path / "said.jsonl", [*of_set("forget", "a", "No."), said("b", "She has lupus.")])
    with pytest.raises(DataError, match=r"said\.jsonl:2: it has no set, and 1 others have: give it one too"):
        score("fiubench", file)
    write(file, of_set("forgotten", "a", "No."))
    with pytest.raises(DataError, match=r"said\.jsonl:1: field set: Input should be 'forget', 'nonprivate', 'others'"):
        score("fiubench", file)


@pytest.mark.parametrize(
    ("task", "fields"),
    [
        ("fiubench", "unique_id, question, answer, keywords, prediction"),
        ("mme", "category, question_id, question, answer, prediction"),
        ("pope", "category, question_id, image_source, question, answer, prediction"),
    ],
)
def test_show_lists_what_a_line_must_hold(task, fields):
    shown = CliRunner().invoke(whole_app, ["show", task, "--json"])
    found = json.loads(shown.stdout)
    assert found["predictions"] == fields
    assert found.get("predictions_may_have", "").startswith("set, id" if task == "fiubench" else "")
