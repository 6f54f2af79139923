"""Means, intervals and the marks of the best, against the formulas; and what counts as one line."""

import math
from statistics import mean, stdev

import pytest
from scipy.stats import t as student

from unlearnbench.analysis.comparison import compare, details
from unlearnbench.analysis.legend import legend
from unlearnbench.analysis.numbers import amount, memory


def column(rows, name):
    (comparison,) = compare(rows)
    (found,) = [column for column in comparison.columns if column.name == name]
    return comparison, found


def scored(row, method, values, *, name="retain.rouge_l", better=True, **changes):
    return [row(method, metrics={name: (value, better)}, seed=seed, **changes) for seed, value in enumerate(values)]


def test_mean_and_interval_over_seeds_are_students(row):
    values = [0.2, 0.5, 0.9]
    _, found = column(scored(row, "m", values), "retain.rouge_l")
    (cell,) = found.cells
    assert cell.mean == pytest.approx(mean(values))
    assert cell.half_width == pytest.approx(student.ppf(0.975, 2) * stdev(values) / math.sqrt(3))
    assert cell.n == 3
    assert found.text(0) == "0.533"
    assert found.text(0, interval=True) == f"0.533 ± {cell.half_width:.3f}"


def test_one_seed_has_no_interval(row):
    _, found = column(scored(row, "m", [0.4]), "retain.rouge_l")
    assert found.cells[0].half_width is None
    assert found.text(0, interval=True) == "0.400"


@pytest.mark.parametrize(("better", "best"), [(True, {"high", "also high"}), (False, {"low"}), (None, set())])
def test_the_best_methods_are_marked_and_never_a_reference(row, better, best):
    same = {"better": better, "name": "puzzles.solved"}
    rows = [
        *scored(row, "low", [0.19, 0.21], **same),
        *scored(row, "high", [0.79, 0.81], **same),
        *scored(row, "also high", [0.8001, 0.8001], **same),
        *scored(row, "reference", [1.0, 1.0] if better else [0.0, 0.0], **same, role="reference"),
    ]
    comparison, found = column(rows, "puzzles.solved")
    assert {comparison.lines[place].method for place in found.best} == best


def test_a_single_method_is_not_the_best_of_anything(row):
    rows = [*scored(row, "m", [0.5]), *scored(row, "finetune", [0.9], role="reference")]
    assert column(rows, "retain.rouge_l")[1].best == frozenset()


def test_a_null_in_any_seed_makes_the_mean_null_and_never_the_best(row):
    null = {"value": None, "n": 0, "higher_is_better": True, "reason": "no samples"}
    rows = [row("m", metrics={"retain.rouge_l": null}), row("m", metrics={"retain.rouge_l": (1.0, True)}, seed=1)]
    rows += [*scored(row, "a", [0.1]), *scored(row, "b", [0.2])]
    comparison, found = column(rows, "retain.rouge_l")
    assert found.text(0) == "n/a"
    assert [comparison.lines[place].method for place in found.best] == ["b"]


def test_costs_are_compared_too(row):
    rows = [
        *scored(row, "a", [0.1, 0.2], cost={"train_seconds": 4.0, "samples_per_second": 10}),
        *scored(row, "b", [0.1, 0.2], cost={"train_seconds": 2.0, "samples_per_second": 5}),
    ]
    assert column(rows, "train_seconds")[1].best == {1}
    assert column(rows, "samples_per_second")[1].best == {0}


def test_seeds_and_bases_are_counted_apart(row):
    base = {"params": {"epochs": 3}}
    same = [row("m", metrics={"retain.rouge_l": (0.1, True)}, seed=s, base_seed=0, base=base) for s in range(3)]
    each = [row("n", metrics={"retain.rouge_l": (0.1, True)}, seed=s, base_seed=s, base=base) for s in range(3)]
    none = [row("o", metrics={"retain.rouge_l": (0.1, True)}, seed=s) for s in range(3)]
    (comparison,) = compare([*same, *each, *none])
    assert [(line.method, line.replicates, line.bases) for line in comparison.lines] == [
        ("m", 3, 1),
        ("n", 3, 3),
        ("o", 3, None),
    ]
    assert [line.count for line in comparison.lines] == ["×3 (1 base)", "×3", "×3"]


def test_numbers_of_the_forgotten_and_settings_of_the_base_are_lines_of_their_own(row):
    rows = []
    for number in (2, 4):
        split = f"forget {number} of 20"
        rows += [row("m", "fiubench", {"retain.rouge_l": (number / 10, True)}, split=split)]
        rows += [row("m", "mme", {"mme.accuracy": (number / 20, True)}, split=split)]
    rows += [
        row("m", "fiubench", {"retain.rouge_l": (0.9, True)}, split="forget 2 of 20", base={"params": {"epochs": 1}})
    ]
    (comparison,) = compare(rows)
    assert len(comparison.lines) == 3
    by_name = {column.name: [cell and cell.mean for cell in column.cells] for column in comparison.columns}
    assert by_name == {"retain.rouge_l": [0.2, 0.4, 0.9], "mme.accuracy": [0.1, 0.2, None]}
    assert "split=forget 4 of 20" in comparison.settings(comparison.lines[1])
    assert "base.epochs=1" in comparison.settings(comparison.lines[2])


def test_a_task_that_nobody_knows_shows_all_its_metrics(row):
    _, found = column([row("m", "puzzles", {"puzzles.solved": (0.5, True)})], "puzzles.solved")
    assert (found.group, found.label) == ("puzzles", "solved")


def test_a_group_on_fewer_seeds_than_its_line_is_told(row):
    rows = [row("m", "fiubench", {"retain.rouge_l": (0.5, True)}, seed=seed) for seed in range(3)]
    rows += [row("m", "mme", {"mme.accuracy": (0.5, True)}, seed=seed) for seed in range(2)]
    told = [line for line in legend(compare(rows)) if line.startswith("On fewer seeds")]
    assert told == ["On fewer seeds than the line says, as some cells have no result: m ×3 General (2)"]
    assert not [line for line in legend(compare(rows[:3])) if line.startswith("On fewer seeds")]


@pytest.mark.parametrize(("bases", "told"), [((0, 0, 0), True), ((0, 0, 1), True), ((0, 1, 2), False)])
def test_a_shared_base_is_told(row, bases, told):
    rows = [
        row("m", metrics={"retain.rouge_l": (0.5, True)}, seed=seed, base_seed=base, base={"params": {}})
        for seed, base in enumerate(bases)
    ]
    assert any("rest on one base" in line for line in legend(compare(rows))) is told


def test_the_peak_of_a_seed_is_the_largest_of_its_tasks(row):
    rows = [
        row("m", task, {f"{task}.x": (0.5, True)}, seed=seed, cost={"peak_memory_bytes": peak * 2**20})
        for seed in (0, 1)
        for task, peak in (("one", 100 + seed), ("two", 700 + 100 * seed))
    ]
    _, found = column(rows, "peak_memory_bytes")
    assert found.cells[0].mean == 750 * 2**20
    assert found.text(0) == "750 MiB"
    assert found.text(0, interval=True) == f"750 ± {student.ppf(0.975, 1) * 50:.3g} MiB"


def test_large_numbers_are_short():
    assert [amount(n) for n in (0, 4.25, 999_400, 999_600, 7_100_000)] == ["0", "4.25", "999k", "1M", "7.1M"]
    assert [memory(n * 2**20) for n in (733.2, 999.7, 24_000)] == ["733 MiB", "0.976 GiB", "23.4 GiB"]


YES = {"always yes": {"mme.accuracy": 0.5, "mme.total": 700.0, "mme.parse_failure_rate": 0.0}}
OF_MME = {"mme.accuracy": (0.9, True), "mme.total": (2000.0, True), "mme.parse_failure_rate": (0.1, False)}


def test_what_needs_no_model_has_a_line_and_is_never_the_best(row):
    rows = [row(method, "mme", OF_MME, seed=seed, baselines=YES) for method in ("ga", "cagul") for seed in (0, 1)]
    [comparison] = compare([*rows, row("ga", metrics={"forget.rouge_l": (0.1, False)})])
    assert [line.method for line in comparison.lines] == ["ga", "cagul", "always yes"]
    [accuracy] = [column for column in comparison.columns if column.name == "mme.accuracy"]
    assert (accuracy.text(2), accuracy.best) == ("0.500", {0, 1})
    assert [column.text(2) for column in comparison.columns if column.name == "forget.rouge_l"] == ["–"]
    assert comparison.label(comparison.lines[2]) == "always yes"


def test_another_setting_of_a_task_has_constants_of_its_own(row):
    limited = {"always yes": YES["always yes"] | {"mme.accuracy": 0.4}}
    cases = ((None, YES), (8, limited))
    [comparison] = compare([row("ga", "mme", OF_MME, options={"limit": n}, baselines=of) for n, of in cases])
    constants = [line for line in comparison.lines if line.method == "always yes"]
    assert [comparison.settings(line) for line in constants] == [["mme.limit=null"], ["mme.limit=8"]]
    assert [line.metric("mme.accuracy").mean for line in constants] == [0.5, 0.4]
    [comparison] = compare([row("ga", "mme", OF_MME, options={"prompt": n}, baselines=YES) for n in ("a", "b")])
    assert [comparison.label(line) for line in comparison.lines if line.method == "always yes"] == ["always yes"]


def test_a_task_s_details_are_a_table_of_its_own(row):
    rows = [row("ga", "mme", OF_MME, baselines=YES), row("ga", "fiubench", {"forget.rouge_l": (0.1, False)})]
    [mme] = details(rows)
    assert mme.title == "tiny-qwen2.5-vl, mme"
    assert [line.method for line in mme.lines] == ["ga", "always yes"]
    assert [(column.label, column.text(0), column.text(1)) for column in mme.columns] == [
        ("Acc", "0.900", "0.500"), ("Total", "2000", "700"), ("Unclear", "0.100", "0.000"),
    ]  # fmt: skip
    assert details([rows[1]]) == []


def test_a_method_that_goes_on_with_others_is_called_by_them_and_not_by_all_their_parameters(row):
    def after(name, rate, base):
        made = row("relearn", params={"method": name, "epochs": 2}, base=base)
        other = row(name, params={"rate": rate, "steps": 9}).method
        method = made.method.model_copy(update={"continues": other})
        return made.model_copy(update={"method": method, "row_id": f"{name} {rate}"})

    base = {"params": {"epochs": 3}}
    (comparison,) = compare([after("ga", 1, base), after("ga", 2, base), after("retrain", 1, None)])
    assert [comparison.label(line) for line in comparison.lines] == [
        "relearn after=ga ga.rate=1",
        "relearn after=ga ga.rate=2",
        "relearn after=retrain",
    ]
    (alone,) = compare([after("ga", 1, base)])
    assert [alone.label(line) for line in alone.lines] == ["relearn after=ga"]


def test_lines_of_two_benchmarks_are_told_apart_by_their_people_and_not_by_all_options(row):
    def asked(task, split, **options):
        return row("ga", task, metrics={f"{task}.right": (0.5, True)}, split=split, options=options)

    rows = [asked("one", "forget 1 of 8", scorer="a"), asked("two", "forget 2 of 9", limit=3, private=["x"])]
    (comparison,) = compare(rows)
    assert [comparison.label(line) for line in comparison.lines] == ["ga split=forget 1 of 8", "ga split=forget 2 of 9"]
