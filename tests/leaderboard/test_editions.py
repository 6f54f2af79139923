"""Leaderboards prescribe people by their digest and data by fingerprints, and tell editions of the data apart."""

import re
import tomllib

from typer.testing import CliRunner

from tests.leaderboard.made_up import DEFINITION, SPLIT, add_method, add_references, board_in, row_of
from unlearnbench import Split
from unlearnbench.cli import app
from unlearnbench.leaderboard.add import add
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import find, read_board
from unlearnbench.leaderboard.rules import misfits
from unlearnbench.leaderboard.site.build import build_site
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import read
from unlearnbench.leaderboard.table import comparison
from unlearnbench.registry import tasks
from unlearnbench.results.row import Row

FIUBENCH = ("fiubench-qwen2.5-vl-7b", "fiubench-llama-3.2-11b-vision")
TINY = "private-attributes-tiny"
SENTENCE = "forget 4 of 8 (custom split)"


def board_with(tmp_path, rule):
    text = DEFINITION.replace("[tasks.pope]", f"[tasks.fiubench.split]\n{rule}\n[tasks.pope]")
    return read_board(board_in(tmp_path / "boards" / "by-people", text))


def wrong(board, store, split, **changes):
    row = row_of(store, "half", "fiubench", [], 0, split=split, salt=str(split))
    found = Row.model_validate(row.model_dump(mode="json") | changes)
    return [problem for problem in misfits(board, found) if "split" in problem]


def test_people_are_prescribed_by_their_digest_whatever_they_are_called(tmp_path, results):
    rule = f'name = "ours"\nidentities = 4\nof = 8\ndigest = "{SPLIT["digest"]}"'
    board = board_with(tmp_path, rule)
    assert wrong(board, results, SPLIT) == []
    assert wrong(board, results, SPLIT | {"name": "another"}) == []
    other = Split.made("4 of 8", 8, ["p0", "p1", "p2", "p7"]).model_dump()
    (problem,) = wrong(board, results, other)
    assert other["digest"] in problem
    assert wrong(board, results, None)
    (old,) = wrong(board, results, SENTENCE, schema_version=1)
    assert "schema 2" in old


def test_each_seed_has_its_people_where_seeds_draw_them(tmp_path, results):
    other = Split.made("4 of 8", 8, ["p0", "p1", "p2", "p7"]).digest
    board = board_with(tmp_path, f'digest = {{ 0 = "{SPLIT["digest"]}", 1 = "{other}", 2 = "{other}" }}')
    assert wrong(board, results, SPLIT) == []
    (problem,) = wrong(board, results, SPLIT, seed=1)
    assert other in problem


def test_seeds_that_draw_their_people_are_one_line(board, results, tmp_path):
    def people(fields):
        start = fields["seed"]
        ids = [f"p{(start + each) % 8}" for each in range(4)]
        fields["task"]["split"] = Split.made("4 people", 8, ids, drawn="4 people").model_dump()

    store = type(results)(tmp_path / "drawn")
    store.check_writable()
    add_references(store, change=people)
    assert add(board, store, board.rows / "drawn.jsonl").problems == ()
    (table,) = tables(board, [read(path) for path in board.submissions])
    assert {each.line.method: each.line.replicates for each in table.standings} == {"finetune": 3, "retrain": 3}


def test_rows_of_schema_1_fit_by_the_whole_sentence_where_it_is_prescribed(tmp_path, results):
    board = board_with(tmp_path, f'digest = "{SPLIT["digest"]}"\nschema_1 = "{SENTENCE}"')
    assert wrong(board, results, SPLIT) == []
    assert wrong(board, results, SENTENCE, schema_version=1) == []
    assert wrong(board, results, "forget 4 of 8 (github split)", schema_version=1)


def test_rows_on_other_people_than_the_references_are_refused(board, results, sent):
    add_method(results, "half", forget=0.5, split=SPLIT | {"digest": "c" * 64})
    problems = sent().problems
    assert any("task.split" in str(problem) and "its reference" in str(problem) for problem in problems)


def editions(tmp_path, results):
    """Results on two editions of the data, the older ones of schema 1."""

    def older(fields):
        fields["schema_version"] = 1

    def newer(fields):
        fields["trained_on"] = {"source": "embedded", "id": "made-up", "revision": None, "fingerprint": "c" * 64}
        if fields["task"]["name"] == "fiubench":
            fields["task"]["data"]["fingerprint"] = "c" * 64
        fields["row_id"] += "n"

    store = type(results)(tmp_path / "both")
    store.check_writable()
    for change, forget in ((older, 0.5), (newer, 0.3)):
        add_references(store, change=change)
        add_method(store, "half", forget=forget, change=change)
    text = DEFINITION.replace(
        'data = { source = "embedded" }', f'data = {{ fingerprint = ["{"b" * 64}", "{"c" * 64}"] }}', 1
    )
    board = read_board(board_in(tmp_path / "boards" / "editions", text))
    added = add(board, store, board.rows / "both.jsonl")
    assert added.problems == ()
    assert added.rows == 36
    return board


def test_two_editions_of_the_data_are_ranked_by_themselves(tmp_path, results):
    board = editions(tmp_path, results)
    assert check(board) == []
    found = tables(board, [read(path) for path in board.submissions])
    assert [table.model for table in found] == ["made-up, data of schema 1", f"made-up, data {'c' * 11}"]
    for table in found:
        assert {standing.line.method for standing in table.standings} == {"finetune", "retrain", "half"}
        assert {row.trained_on is None for standing in table.standings for row in standing.line.rows} in (
            {True}, {False},
        )  # fmt: skip
    assert build_site([(board, [read(path) for path in board.submissions], found)], tmp_path / "site", None) > 6


def test_a_fingerprint_that_is_not_prescribed_is_refused(tmp_path, results):
    board = editions(tmp_path, results)
    row = row_of(results, "half", "fiubench", [], 7)
    data = row.task.data.model_copy(update={"fingerprint": "d" * 64})
    row = row.model_copy(update={"task": row.task.model_copy(update={"data": data})})
    assert any("task.data.fingerprint" in problem for problem in misfits(board, row))


def test_nobody_brings_an_edition_with_references_of_their_own(tmp_path, results):
    """Models trained on data of one's own, asked on the prescribed ones, would be ranked by themselves."""
    board = editions(tmp_path, results)
    old = row_of(results, "half", "fiubench", [], 7)
    elsewhere = old.task.data.model_copy(update={"fingerprint": "d" * 64})
    for told, word in ((elsewhere, "d" * 64), (None, "not told")):
        row = old.model_copy(update={"trained_on": told})
        assert any(f"trained_on.fingerprint is {word}" in problem for problem in misfits(board, row))
    assert misfits_of_training(board, old.model_copy(update={"schema_version": 1})) == []


def test_a_leaderboard_that_prescribes_no_data_has_one_edition(board, results):
    def elsewhere(fields):
        fields["trained_on"] = {"source": "embedded", "id": "mine", "revision": None, "fingerprint": "d" * 64}
        fields["row_id"] += "n"

    assert add(board, results, board.rows / "first.jsonl").problems == ()
    add_references(results, change=elsewhere)
    found = add(board, results, board.rows / "second.jsonl").problems
    assert found
    assert all(
        "trained_on.fingerprint is ddd" in str(each) and "not told in first.jsonl:2" in str(each) for each in found
    )


def misfits_of_training(board, row):
    return [each for each in misfits(board, row) if "trained_on" in each]


def test_line_ends_changed_by_git_change_nothing(board, results, sent):
    add_method(results, "half", forget=0.5)
    samples = [*(results.folder / "samples").glob("*.jsonl")]
    for path in (results.rows, *samples):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not sent().problems
    (path,) = board.submissions
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert check(board) == []
    assert len(read(path, verify=True).rows) == 18


def test_the_ranked_that_is_nearest_to_the_ideal_is_best_in_a_column_of_the_forget_set(board, results, sent):
    add_method(results, "near", forget=0.12)
    add_method(results, "wrecked", forget=0.0)
    add_method(results, "little", forget=0.8)
    assert not sent().problems
    (table,) = tables(board, [read(path) for path in board.submissions])
    shown = comparison(board, table)
    (column,) = [column for column in shown.columns if column.name == "forget.exact_match"]
    assert {shown.lines[place].method for place in column.best} == {"near"}


def test_the_directions_of_the_shipped_leaderboards_are_those_of_the_metrics():
    for name in (*FIUBENCH, TINY):
        columns = {column.metric: column.direction for column in find(name).definition.columns}
        assert (columns["forget.refusal_rate"], columns["forget.probability"]) == ("neither", "retrained")


def test_the_stored_direction_of_an_old_row_decides_nothing(tmp_path, results):
    def older(fields):
        fields["schema_version"] = 1
        if fields["task"]["name"] == "fiubench":
            fields["metrics"]["forget.min_k"]["higher_is_better"] = False
            fields["metrics"]["forget.refusal_rate"]["higher_is_better"] = True

    store = type(results)(tmp_path / "old")
    store.check_writable()
    add_references(store, change=older)
    board = read_board(board_in(tmp_path / "boards" / "old"))
    assert add(board, store, board.rows / "old.jsonl").problems == ()
    assert check(board) == []


def test_both_fiubench_leaderboards_prescribe_the_same_people():
    one, other = (find(name).definition.tasks["fiubench"].split for name in FIUBENCH)
    assert one == other
    assert (one.identities, one.of) == (40, 400)


def test_the_split_of_the_tiny_definition_is_what_the_command_prints():
    """Those of FIUBench are tried in tests/data, where its ids are."""
    said = CliRunner().invoke(app, ["leaderboard", "split", "--data", "embedded"])
    assert said.exit_code == 0
    printed = tomllib.loads(said.stdout)["tasks"]["fiubench"]["split"]
    rule = find(TINY).definition.tasks["fiubench"].split
    assert (printed["identities"], printed["of"]) == (rule.identities, rule.of)
    assert printed["digest"] == rule.digest


def test_a_split_is_printed_with_its_options():
    def printed(*words):
        said = CliRunner().invoke(app, ["leaderboard", "split", *words])
        return tomllib.loads(said.stdout)["tasks"]["fiubench"]["split"]

    usual = printed("--forget", "4")
    assert printed("--forget", "4", "--set", "fiubench.batch_size=7") == usual
    for other in (["--set", "fiubench.held_out=0.2"], ["--set", 'fiubench.private=["health"]']):
        assert printed("--forget", "4", *other)["digest"] != usual["digest"]
    assert printed("--forget", "6")["digest"] != usual["digest"]
    assert printed("--forget", "4", "--seed", "1")["digest"] == {"1": usual["digest"]["1"]}


def test_a_page_says_on_how_many_questions_a_score_rests(board, results, sent, tmp_path):
    def few(row):
        metrics = {
            name: metric.model_copy(update={"questions": 21, "of_questions": 24} if name == "forget.ape" else {})
            for name, metric in row.metrics.items()
        }
        return row.model_copy(update={"metrics": metrics})

    add_method(results, "half", forget=0.5)
    assert not sent().problems
    submission = read(board.submissions[0])
    submission.rows[:] = [few(row) if row.method.name == "half" else row for row in submission.rows]
    build_site([(board, [submission], tables(board, [submission]))], tmp_path / "site", None)
    page = (tmp_path / "site/made-up/index.html").read_text()
    assert len(re.findall(r"rests on 21 of 24 questions \(half[^)]*\)", page)) == 1
    (page,) = (tmp_path / "site/made-up/entries").glob("half-*.html")
    assert "(21 of 24 questions)" in page.read_text()


def test_what_is_computed_on_the_shipped_data_today_fits_the_tiny_leaderboard():
    rules = find(TINY).definition.tasks
    for name, rule in rules.items():
        kind = tasks.get(name)
        data = kind(kind.Options()).load("embedded", None)
        assert data.fingerprint in rule.data.fingerprint
        assert kind.version == rule.version
