import json
import re
import subprocess
import sys

import pytest
from rich.console import Console

from unlearnbench.report.terminal import plain_json, table


def render(rows, width=120):
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(table(rows))
    return capture.get()


def lines_of(text, method):
    return [line.split() for line in text.splitlines() if re.match(rf"{re.escape(method)}\b", line)]


@pytest.fixture
def cell(row):
    """A function that makes the three rows of one method and seed, all scores derived from one number."""

    def make(method, score, *, seed=0, **changes):
        forget = {f"forget.{name}": (score, False) for name in ("rouge_l", "exact_match", "ape", "min_k")}
        kept = {f"retain.{name}": (score + 0.1, True) for name in ("rouge_l", "exact_match")}
        fiubench = {
            **forget,
            "forget.refusal_rate": (0.75, True),
            "nonprivate.rouge_l": (score + 0.2, True),
            **kept,
            "retain.truth_ratio": (0.5, None),
        }
        return [
            row(method, "fiubench", fiubench, seed=seed, **changes),
            row(method, "mme", {"mme.accuracy": (0.9, True)}, seed=seed, **changes),
            row(method, "pope", {"pope.accuracy": (0.8, True), "pope.f1": (0.7, True)}, seed=seed, **changes),
        ]

    return make


def test_the_tasks_of_a_method_share_one_line_under_grouped_headings(cell):
    cost = {"trainable_parameters": 125_000, "seconds_per_epoch": 1.26}
    text = render([*cell("finetune", 0.7), *cell("cagul", 0.1, cost=cost)])
    groups, labels = text.splitlines()[1:3]
    assert groups.split() == ["Forget", "Non-private", "Retain", "General", "Cost"]
    assert labels.split() == [
        "Method", "ROUGE-L↓", "EM↓", "APE↓", "Min-K≈", "Refused", "ROUGE-L↑", "ROUGE-L↑", "EM↑", "Truth↑", "MME↑",
        "POPE↑", "Params", "s/epoch",
    ]  # fmt: skip
    scores = ["0.100"] * 4 + ["0.750", "0.300", "0.200", "0.200", "0.500", "0.900", "0.800"]
    assert lines_of(text, "cagul") == [["cagul", *scores, "125k", "1.26"]]
    assert lines_of(text, "finetune")[0][-2:] == ["–", "–"]
    assert text.splitlines()[0].strip() == "tiny-qwen2.5-vl"


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60])
def test_every_score_is_shown_at_any_width(cell, width):
    cost = {"trainable_parameters": 3_400_000, "seconds_per_epoch": 12.3}
    text = render([*cell("pretrain", 0.3), *cell("cagul", 0.1, cost=cost)], width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    shown = [each for line in lines_of(text, "cagul") for each in line[1:]]
    assert shown == ["0.100"] * 4 + ["0.750", "0.300", "0.200", "0.200", "0.500", "0.900", "0.800", "3.4M", "12.3"]
    assert len(lines_of(text, "cagul")) == {200: 1, 120: 1, 100: 2, 80: 2, 60: 3}[width]


def test_seeds_are_averaged_and_counted(cell):
    rows = [*cell("cagul", 0.1, seed=0), *cell("cagul", 0.2, seed=1), *cell("cagul", 0.6, seed=2)]
    assert lines_of(render(rows), "cagul")[0][:3] == ["cagul", "×3", "0.300"]


def test_each_model_has_a_table_of_its_own(cell):
    text = render([*cell("cagul", 0.1), *cell("cagul", 0.2, model="qwen2.5-vl-7b")])
    assert [line[1] for line in lines_of(text, "cagul")] == ["0.100", "0.200"]
    assert text.index("tiny-qwen2.5-vl") < text.index("qwen2.5-vl-7b")


def test_lines_of_one_method_say_what_differs_between_them_and_only_that(cell):
    rows = [*cell("cagul", 0.1, params={"k": 4, "lr": 1}), *cell("cagul", 0.2, params={"k": 8, "lr": 1})]
    text = render([*rows, *cell("finetune", 0.9, params={"rank": 128})])
    assert [line[:3] for line in lines_of(text, "cagul")] == [["cagul", "k=4", "0.100"], ["cagul", "k=8", "0.200"]]
    assert lines_of(text, "finetune")[0][:2] == ["finetune", "0.900"]


def test_two_settings_of_a_task_are_two_lines_that_share_the_other_tasks(row):
    rows = [
        row("m", "fiubench", {"forget.rouge_l": (0.1, False)}, options={"scorer": "strict"}),
        row("m", "fiubench", {"forget.rouge_l": (0.3, False)}, options={"scorer": "fiubench"}),
        row("m", "mme", {"mme.accuracy": (0.9, True)}),
    ]
    text = render(rows)
    assert re.search(r"0\.100 +0\.900", text)
    assert re.search(r"0\.300 +0\.900", text)
    assert "scorer=strict" in text
    assert "0.200" not in text


def test_a_cell_that_was_run_again_counts_once(row):
    failure = {"type": "ModelError", "message": "too little memory"}
    rows = [
        row(row_id="a", status="error", error=failure),
        row(metrics={"forget.rouge_l": (0.1, False)}, row_id="a"),
        row(metrics={"forget.rouge_l": (0.5, False)}, row_id="a"),
    ]
    text = render(rows)
    assert "too little memory" not in text
    assert lines_of(text, "cagul") == [["cagul", "0.500"]]


def test_failed_and_skipped_cells_are_lines_with_their_message(cell, row):
    rows = [
        *cell("finetune", 0.9),
        row("ga", "fiubench", seed=1, status="error", error={"type": "ModelError", "message": "out of memory"}),
        row("ga", "mme", seed=1, status="skipped", error={"type": "Skipped", "message": "no base model"}),
    ]
    text = render(rows)
    assert "error  ga tiny-qwen2.5-vl fiubench seed 1  ModelError: out of memory" in text
    assert "skipped  ga tiny-qwen2.5-vl mme seed 1  no base model" in text
    assert "ModelError" in render(rows[-2:])


def test_a_metric_without_a_value_is_not_averaged_away(row):
    null = {"value": None, "n": 0, "higher_is_better": True, "reason": "the model diverged"}
    rows = [
        row(metrics={"retain.rouge_l": (0.5, True), "forget.ape": (0.2, False)}, seed=0),
        row(metrics={"retain.rouge_l": null, "forget.ape": (0.4, False)}, seed=1),
    ]
    text = render(rows)
    assert lines_of(text, "cagul") == [["cagul", "×2", "0.300", "n/a"]]
    assert "n/a  retain.rouge_l: the model diverged (cagul)" in text


def test_the_metrics_of_an_unknown_task_are_shown_too(row):
    text = render([row(task="riddles", metrics={"riddles.solved": (12.3456, True), "riddles.tries": (12345.6, False)})])
    assert "riddles" in text
    assert re.search(r"solved↑ +tries↓", text)
    assert lines_of(text, "cagul") == [["cagul", "12.35", "1.235e+04"]]


def test_text_from_rows_is_shown_and_never_obeyed(row):
    evil = "[red]x[/red] [/] \x1b[31m\n:smile:"
    failure = {"type": "E", "message": evil}
    rows = [
        row(evil, metrics={"[b].[/]": (1, True)}, model=evil, params={"a": "[u]"}),
        row(evil, metrics={"[b].[/]": (1, True)}, model=evil, params={"a": "[i]"}),
        row(status="error", error=failure),
    ]
    text = render(rows)
    assert "[red]x[/red] [/]" in text
    assert "a=[u]" in text
    assert "\x1b" not in text
    assert "E: [red]x[/red] [/]  [31m :smile:" in text


def test_no_rows_are_no_table():
    assert render([]).strip() == ""


def test_json_is_the_rows_themselves(cell):
    rows = cell("cagul", float("nan"))
    shown = json.loads(plain_json(rows), parse_constant=pytest.fail)
    assert shown == [json.loads(row.to_line()) for row in rows]
    assert shown[0]["metrics"]["forget.rouge_l"]["reason"] == "not a number"


def test_rows_stores_and_tables_need_no_torch():
    script = (
        "import sys, unlearnbench.report.terminal, unlearnbench.results.store, unlearnbench.engine.artefacts\n"
        "print([name for name in ('torch', 'transformers', 'numpy', 'PIL', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_constants_stand_only_where_they_have_a_score(row):
    baselines = {"always yes": {"mme.accuracy": 0.5}}
    rows = [
        row("ga", "mme", {"mme.accuracy": (0.9, True)}, baselines=baselines),
        row("ga", "fiubench", {f"forget.{name}": (0.1, False) for name in ("rouge_l", "exact_match", "ape", "min_k")}),
    ]
    assert len(lines_of(render(rows, 200), "always")) == 1
    narrow = render(rows, 40)
    assert lines_of(narrow, "always") == [["always", "yes", "0.500"]]
    assert len(lines_of(narrow, "ga")) == 2


def test_rows_on_a_part_of_the_questions_say_so(row):
    whole = row("ga", "mme", {"mme.accuracy": (0.9, True)})
    protocol = {"questions": 84, "of": 2374, "limited": True}
    text = render([whole.model_copy(update={"task": whole.task.model_copy(update={"protocol": protocol})})], 200)
    assert "limited  mme: 84 of 2374 questions; not comparable with runs on all" in text
