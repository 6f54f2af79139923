"""What is drawn where: points, intervals and curves against the rows."""

import math
from statistics import mean, stdev

import pytest
from scipy.stats import t as student

from unlearnbench import Split
from unlearnbench.analysis.comparison import compare
from unlearnbench.embedded import embedded_folder
from unlearnbench.report.attention import attention
from unlearnbench.report.curves import curves
from unlearnbench.report.plots import COLOURS, file_name
from unlearnbench.report.tradeoff import trade_off


def rows_of(row, method, forget, retain, **changes):
    return [
        row(method, metrics={"forget.rouge_l": (f, False), "retain.rouge_l": (r, True)}, seed=seed, **changes)
        for seed, (f, r) in enumerate(zip(forget, retain, strict=True))
    ]


def words(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_a_point_lies_at_the_means_with_the_intervals_of_the_seeds(row):
    forget, retain = [0.3, 0.4, 0.6], [0.5, 0.6, 0.9]
    rows = [*rows_of(row, "m", forget, retain), *rows_of(row, "base", [1.0], [1.0], role="reference")]
    figure = trade_off(*compare(rows))
    (axes,) = figure.axes
    reference, method = axes.containers  # references are drawn first
    assert method.lines[0].get_xydata().tolist() == [[pytest.approx(mean(forget)), pytest.approx(mean(retain))]]
    (low, high) = method.lines[2][0].get_segments()[0][:, 0]
    assert (high - low) / 2 == pytest.approx(student.ppf(0.975, 2) * stdev(forget) / math.sqrt(3))
    assert method.lines[0].get_markerfacecolor() == COLOURS[0]
    assert reference.lines[0].get_markerfacecolor() == "white"
    assert words(figure) == ["m", "base"]
    assert axes.get_xlim() == pytest.approx((-0.04, 1.04))


def test_points_at_the_better_corner_are_shown_larger(row):
    rows = [each for m, f in (("a", 0.02), ("b", 0.03), ("c", 0.9)) for each in rows_of(row, m, [f], [0.98])]
    _, corner = trade_off(*compare(rows)).axes
    assert corner.get_xlim()[1] < 0.2
    assert corner.get_ylim()[0] > 0.8


def test_the_arrow_points_to_less_forgotten_and_more_retained(row):
    figure = trade_off(*compare(rows_of(row, "m", [0.5], [0.5])))
    (arrow,) = [text for text in figure.axes[0].texts if text.get_text() == "better"]
    (x, y), (to_x, to_y) = arrow.get_position(), arrow.xy
    assert to_x < x
    assert to_y > y


def test_without_both_metrics_there_is_no_trade_off(row):
    assert trade_off(*compare([row("m", metrics={"forget.rouge_l": (0.1, False)})])) is None
    null = {"value": None, "n": 0, "higher_is_better": True, "reason": "none"}
    assert trade_off(*compare([row("m", metrics={"forget.rouge_l": (0.1, False), "retain.rouge_l": null})])) is None


def test_a_sweep_has_a_curve_a_group_over_lines_that_differ_in_one_number(row):
    rows = []
    for k in (4, 8, 16):
        rows += rows_of(row, "m", [k / 20, k / 20 + 0.1], [0.9, 0.9], params={"k": k, "lr": 1})
    rows += rows_of(row, "m", [0.7], [0.7], params={"k": 32, "lr": 2})  # differs in more
    ((name, figure),) = curves(*compare(rows))
    assert name == "m-k"
    found = {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}
    assert set(found) == {"Forget ROUGE-L ↓", "Retain ROUGE-L ↑"}
    wanted = [[k, k / 20 + 0.05] for k in (4, 8, 16)]
    assert found["Forget ROUGE-L ↓"].tolist() == [[x, pytest.approx(y)] for x, y in wanted]
    assert figure.axes[0].get_xlabel() == "k"


def test_the_number_of_the_forgotten_is_swept_too_and_two_values_are_no_sweep(row):
    def made(numbers):
        return [r for n in numbers for r in rows_of(row, "m", [n / 10], [0.9], split=people(n))]

    def people(n):
        return Split.made(f"{n} of 20", 20, map(str, range(n))).model_dump()

    ((name, figure),) = curves(*compare(made((2, 4, 6))))
    assert name == "m-people-to-forget"
    assert figure.axes[0].lines[0].get_xdata().tolist() == [2, 4, 6]
    assert [*curves(*compare(made((2, 4))))] == []


def test_scores_beyond_one_stay_in_the_picture(row):
    rows = [row("m", "puzzles", {"puzzles.tries": (k * 3.0, False)}, params={"k": k}) for k in (1, 2, 3)]
    ((_, figure),) = curves(*compare(rows))
    assert figure.axes[0].get_ylim()[1] > 9


def test_names_of_rows_are_shown_and_never_obeyed(row, tmp_path):
    names = ["_hidden", "$\\frac{", "a\nb\x00", "x" * 500]
    rows = [each for name in names for each in rows_of(row, name, [0.5], [0.5], model="$_{")]
    figure = trade_off(*compare(rows))
    figure.savefig(tmp_path / "x.png")
    assert [word.strip() for word in words(figure)] == ["_hidden", "$\\frac{", "a b", "x" * 43 + "…"]
    for name in [*names, "../../etc", "", "..."]:
        safe = file_name(name)
        assert 0 < len(safe) <= 80
        assert "/" not in safe
        assert not safe.startswith(".")


def test_every_picture_of_a_sample_is_drawn_with_what_was_done_to_it():
    names = [f"SFHQ/{path.name}" for path in sorted((embedded_folder() / "SFHQ").glob("*.png"))[:3]]
    one, two, three = ({"image": n, "grid": [2, 2], "flagged": True, "scores": None, "chosen": [0]} for n in names)
    said = {"question": "Are they alike?", "answer": "no", "prediction": "no"}
    samples = [{"id": "both", **said, "explanation": [one, two]}, {"id": "alone", **said, "explanation": three}]
    skipped = []
    figure = attention([*samples, {"id": "silent", **said}], embedded_folder(), "ours", skipped.append)
    assert len(figure.axes) == 3 * 3  # face, map and text
    assert skipped == []
    broken = [{"id": "both", **said, "explanation": [one, {**two, "grid": [0, 2]}]}]
    assert len(attention(broken, embedded_folder(), "ours", skipped.append).axes) == 3
    assert len(skipped) == 1
    assert skipped[0].startswith("sample both: damaged explanation")
