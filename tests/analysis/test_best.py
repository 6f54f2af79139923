"""Who is marked as the best, by metric and set; the same in every format."""

import csv
import io
import re

import pytest

from unlearnbench import Headline, Split
from unlearnbench.analysis.comparison import compare
from unlearnbench.analysis.legend import legend
from unlearnbench.analysis.tidy import tidy
from unlearnbench.metrics.direction import direction_of
from unlearnbench.registry import metrics, tasks
from unlearnbench.report.latex import latex
from unlearnbench.report.markdown import markdown
from unlearnbench.report.plots import named
from unlearnbench.report.tradeoff import trade_off

FORGET = ("forget.rouge_l", "forget.exact_match", "forget.ape", "forget.min_k")


def rows_of(row, name, values, **changes):
    """Rows of methods by their values, one a seed; "retrain" and "finetune" are references."""
    return [
        row(
            method, metrics={name: (value, None)}, seed=seed, role="reference" if method in REFERENCES else "method",
            **changes,
        )
        for method, of in values.items()
        for seed, value in enumerate(of if isinstance(of, list) else [of])
    ]  # fmt: skip


REFERENCES = ("retrain", "finetune", "pretrain")


def best(rows, name):
    (comparison,) = compare(rows)
    (column,) = [column for column in comparison.columns if column.name == name]
    return {comparison.lines[place].method for place in column.best}


def test_the_metric_says_its_direction_and_no_row_of_an_older_version():
    for stored in (True, False, None):
        assert direction_of("fiubench", "forget.refusal_rate", stored) is None
        assert direction_of("fiubench", "forget.min_k", stored) == "retrained"
        assert direction_of("fiubench", "forget.truth_ratio", stored) == "retrained"
        assert direction_of("fiubench", "forget.rouge_l", stored) == "lower"
        assert direction_of("fiubench", "retain.truth_ratio", stored) == "higher"
        assert direction_of("fiubench", "nonprivate.refusal_rate", stored) == "lower"
    assert direction_of("mme", "mme.accuracy", True) == "higher"
    assert direction_of("nobody's", "x.y", False) == "lower"


def test_no_likelihood_of_the_forget_set_has_a_better_side():
    answers = {"logprobs", "value_logprobs", "perturbed_logprobs"}  # a choice among options is right or wrong
    likelihoods = [metrics.get(name)() for name in metrics.names() if answers & {*metrics.get(name).requires}]
    truths = {"truth_choice", "truth_odds", "truth_preference", "truth_ratio"}
    assert {metric.name for metric in likelihoods} == truths | {"min_k", "probability", "value_probability"}
    assert {metric.direction(name) for metric in likelihoods for name in ("forget", "other_view")} == {"retrained"}


@pytest.mark.parametrize("name", FORGET)
def test_on_the_forget_set_best_is_nearest_to_the_retrained_model(row, name):
    values = {"finetune": 1.0, "retrain": 0.5, "wrecked": 0.0, "near": 0.45, "above": 0.6, "unmoved": 0.99}
    assert best(rows_of(row, name, values), name) == {"near"}


@pytest.mark.parametrize("name", FORGET)
def test_without_a_retrained_model_nothing_on_the_forget_set_is_best(row, name):
    rows = rows_of(row, name, {"finetune": 1.0, "wrecked": 0.0, "near": 0.45})
    assert best(rows, name) == set()
    assert any("nearest to the retrained model" in line for line in legend(compare(rows)))


def test_refusals_on_the_forget_set_win_nothing_and_elsewhere_lose(row, monkeypatch):
    shown = tuple(Headline(name, f"{name}.refusal_rate", "Refused") for name in ("forget", "nonprivate"))
    monkeypatch.setattr(tasks.get("fiubench"), "headlines", shown)
    values = {"retrain": 0.1, "refuses": 1.0, "guesses": 0.1}
    assert best(rows_of(row, "forget.refusal_rate", values), "forget.refusal_rate") == set()
    assert best(rows_of(row, "nonprivate.refusal_rate", values), "nonprivate.refusal_rate") == {"guesses"}


def test_each_line_aims_at_the_retrained_model_of_its_own_people(row):
    splits = [Split.made("s", 20, [str(n)]).model_dump() for n in (1, 2)]
    one = rows_of(row, "forget.ape", {"retrain": 0.1, "low": 0.1, "high": 0.6}, split=splits[0])
    two = rows_of(row, "forget.ape", {"retrain": 0.6, "low": 0.1, "high": 0.6}, split=splits[1])
    (comparison,) = compare([*one, *two])
    (column,) = [column for column in comparison.columns if column.name == "forget.ape"]
    found = [(comparison.lines[place].method, comparison.lines[place].facts["split"].digest) for place in column.best]
    assert sorted(found) == sorted([("low", splits[0]["digest"]), ("high", splits[1]["digest"])])
    # One method on each of two sets of people: there is nobody to be better than.
    apart = rows_of(row, "retain.rouge_l", {"a": 0.1}, split=splits[0])
    apart += rows_of(row, "retain.rouge_l", {"b": 0.6}, split=splits[1])
    assert best(apart, "retain.rouge_l") == set()


def test_of_several_retrained_models_the_one_trained_like_the_base_counts(row):
    rows = [*rows_of(row, "forget.ape", {"retrain": 0.1}, params={"epochs": 1})]
    rows += rows_of(row, "forget.ape", {"retrain": 0.8}, params={"epochs": 9})
    rows += rows_of(row, "forget.ape", {"low": 0.1, "high": 0.8}, base={"params": {"epochs": 9}})
    assert best(rows, "forget.ape") == {"high"}


@pytest.mark.parametrize("name", ["retain.rouge_l", "forget.rouge_l"])
def test_an_interval_over_most_of_the_scale_neither_wins_nor_blocks(row, name):
    # ± 0.9 and more by Student's t of two seeds
    lucky = [0.9, 1.0] if name.startswith("retain") else [0.4, 0.6]
    lucky = [lucky[0] - 0.1, lucky[1]]
    sure = [0.6, 0.601] if name.startswith("retain") else [0.3, 0.301]
    rows = rows_of(row, name, {"retrain": [0.5, 0.5], "lucky": lucky, "sure": sure})
    assert best(rows, name) == {"sure"}


def test_a_retrained_model_that_is_itself_unsure_decides_nothing(row):
    rows = rows_of(row, "forget.ape", {"retrain": [0.2, 0.8], "a": [0.5, 0.5], "b": [0.1, 0.1]})
    assert best(rows, "forget.ape") == set()


def test_every_format_marks_the_same_lines_and_says_the_same_direction(row):
    rows = []
    for name in ("forget.rouge_l", "forget.min_k", "forget.refusal_rate", "retain.rouge_l"):
        rows += rows_of(
            row, name, {"finetune": 0.9, "retrain": 0.5, "wrecked": 0.0, "near": 0.45}, options={"of": name}
        )
    merged = {}
    for each in rows:
        merged.setdefault(each.method.name, {}).update(each.metrics)
    rows = [
        row(method, metrics={n: m.model_dump() for n, m in of.items()},
            role="reference" if method in REFERENCES else "method")
        for method, of in merged.items()
    ]  # fmt: skip
    comparisons = compare(rows)
    marked = {each.name: {comparisons[0].lines[p].method for p in each.best} for each in comparisons[0].columns}
    assert marked == {
        "forget.rouge_l": {"near"}, "forget.min_k": {"near"}, "forget.refusal_rate": set(), "retain.rouge_l": {"near"},
    }  # fmt: skip
    table = list(csv.DictReader(io.StringIO(tidy(comparisons))))
    for name, methods in marked.items():
        assert {line["method"] for line in table if line["metric"] == name and line["best"] == "True"} == methods
    assert {line["metric"]: line["direction"] for line in table} == {
        "forget.rouge_l": "lower", "forget.min_k": "retrained", "forget.refusal_rate": "", "retain.rouge_l": "higher",
    }  # fmt: skip
    assert [len(re.findall(r"\*\*\d", line)) for line in markdown(comparisons).splitlines() if "| near" in line] == [3]
    (line,) = [line for line in latex(comparisons).splitlines() if line.startswith("near")]
    assert line.count(r"\textbf") == 3
    assert r"Min-K~$\approx$" in latex(comparisons)
    assert [named(column) for column in comparisons[0].columns] == [
        "Forget ROUGE-L ↓", "Forget Min-K ≈", "Forget Refused", "Retain ROUGE-L ↑",
    ]  # fmt: skip


def test_the_arrow_of_the_trade_off_stops_at_the_retrained_model(row):
    def arrow(values):
        rows = [
            row(method, metrics={"forget.rouge_l": (value, False), "retain.rouge_l": (0.5, True)},
                role="reference" if method in REFERENCES else "method")
            for method, value in values.items()
        ]  # fmt: skip
        axes = trade_off(*compare(rows)).axes[0]
        (found,) = [text for text in axes.texts if text.get_text() == "better"]
        return found.xy[0] - found.get_position()[0]

    assert arrow({"m": 0.5}) < 0
    assert arrow({"m": 0.5, "retrain": 1.0}) > 0


def test_a_score_on_few_of_its_questions_says_so_in_every_format(row):
    few = {"value": 0.5, "n": 630, "higher_is_better": False, "questions": 210, "of_questions": 504}
    full = few | {"questions": 504}
    comparisons = compare([row("a", metrics={"forget.ape": few}), row("b", metrics={"forget.ape": few})])
    said = "Forget APE rests on 210 of 504 questions"
    assert said in [*legend(comparisons)]
    assert said in markdown(comparisons)
    assert said in latex(comparisons)
    assert {(line["questions"], line["of_questions"]) for line in csv.DictReader(io.StringIO(tidy(comparisons)))} == {
        ("210", "504")
    }
    mixed = compare([row("a", metrics={"forget.ape": few}), row("b", metrics={"forget.ape": full})])
    assert f"{said} (a)" in [*legend(mixed)]
    assert not [line for line in legend(compare([row("b", metrics={"forget.ape": full})])) if "rests on" in line]
