"""What takes the samples of several rows: scores and distances of a run, against arithmetic on the samples."""

import csv
import io
import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from unlearnbench.analysis.comparison import compare, distances
from unlearnbench.analysis.legend import legend
from unlearnbench.analysis.tidy import tidy
from unlearnbench.contracts.metric import record_of
from unlearnbench.errors import StoreError
from unlearnbench.metrics.likelihood import TruthOdds, log_truth_ratio
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.registry import tasks

SCORE, BASE = "forget.rouge_l", {"epochs": 3}
VALUES = ("lupus", "gout", "asthma", "anemia")


def samples(said, nll, *, people=4):
    """Records of ``people``, 2 questions each; ``said`` gives an answer's value by its place, ``nll`` its mean NLL."""
    records = []
    for place in range(2 * people):
        value = VALUES[place % 4]
        likely = [-nll(place)] * 4
        records.append({
            "set": "forget", "id": f"p{place // 2}/{place}", "unique_id": f"p{place // 2}", "group": "health",
            "question": "What has the person?", "answer": f"The person has {value}.", "keywords": [value],
            "prediction": f"The person has {said(place)}.", "paraphrased_predictions": [f"{said(place)}."],
            "logprobs": likely, "value_logprobs": likely[:1], "paraphrased_logprobs": likely,
            "perturbed_logprobs": [[-2.0 - place / 50] * 5, [-2.5] * 4, [-3.0] * 3],
        })  # fmt: skip
    return records


def truth(place):
    return VALUES[place % 4]


def guess(place):
    return VALUES[(place + 1) % 4]


KNOWS = samples(truth, lambda place: 0.01 * (1 + place))
NEVER_KNEW = samples(guess, lambda place: 2 + place / 10)
SILENT = samples(guess, lambda place: 0.02 * (1 + place))
AGAIN = samples(guess, lambda place: 2.02 + place / 10)
OVERDONE = samples(guess, lambda place: 9 + place / 10)


@pytest.fixture
def run(row):
    """Rows of a run and a function that reads their samples, by method."""

    def make(of):
        given = {"finetune": "reference", "retrain": "reference"}
        rows, read = [], {}
        for method, records in of.items():
            trained = {"params": BASE} if method == "retrain" else {"base": {"params": BASE}}
            made = row(method, metrics={SCORE: (0.5, False)}, role=given.get(method, "method"), **trained)
            fields = made.model_dump(mode="json")
            fields["task"]["version"] = tasks.get("fiubench").version
            rows.append(type(made).model_validate(fields))
            read[made.row_id] = records

        def records_of(one):
            if read[one.row_id] is None:
                raise StoreError("gone")
            return read[one.row_id]

        return rows, records_of

    return make


ALL = {"finetune": KNOWS, "retrain": NEVER_KNEW, "silent": SILENT, "again": AGAIN, "overdone": OVERDONE}


def column(comparison, name):
    [found] = [each for each in comparison.columns if each.name == name]
    return {line.method: found.cells[place] for place, line in enumerate(comparison.lines)}


def test_a_run_with_both_references_shows_levels_trace_and_verdict_first(run):
    rows, records = run(ALL)
    [comparison] = compare(rows, records=records)
    assert [each.label for each in comparison.columns[:4]] == ["Text", "Logits", "Trace", "Verdict"]
    verdicts = comparison.columns[3]
    said = {line.method: verdicts.text(place) for place, line in enumerate(comparison.lines)}
    assert {name: said[name] for name in ("silent", "again", "overdone")} == {
        "silent": "hidden",
        "again": "erased",
        "overdone": "overdone",
    }
    told = list(csv.DictReader(io.StringIO(tidy([comparison]))))
    assert {each["method"]: each["word"] for each in told if each["metric"] == "verdict"} == said
    assert not [line for line in legend([comparison]) if "fewer seeds" in line]
    assert column(comparison, "text")["finetune"].mean == 0
    assert column(comparison, "text")["silent"].mean == 1
    assert column(comparison, "logits")["silent"].mean < 0.1
    assert column(comparison, "logits")["again"].mean == pytest.approx(1)


@pytest.mark.parametrize(("lacking", "told"), [("retrain", "--method retrain"), ("finetune", "--method finetune")])
def test_without_a_reference_it_says_which_to_add(run, lacking, told):
    rows, records = run({name: of for name, of in ALL.items() if name != lacking})
    [comparison] = compare(rows, records=records)
    assert [each.label for each in comparison.columns] == ["ROUGE-L"]
    [said] = [line for line in legend([comparison]) if "--method" in line]
    assert said.endswith(told)


def test_samples_that_are_gone_or_of_another_kind_leave_their_line_without_a_score_and_spare_the_others(run):
    damaged = [{name: value for name, value in each.items() if name != "unique_id"} for each in SILENT]
    rows, records = run({**ALL, "silent": None, "again": damaged})
    [comparison] = compare(rows, records=records)
    texts = column(comparison, "text")
    assert texts["silent"] is None
    assert texts["again"] is None
    assert texts["overdone"] is not None


def test_of_rows_without_samples_at_hand_there_is_no_score(run):
    rows, _ = run(ALL)
    [comparison] = compare(rows)
    assert [each.label for each in comparison.columns] == ["ROUGE-L"]


def test_it_says_how_many_questions_the_base_could_not_answer(run):
    rows, records = run({**ALL, "finetune": samples(lambda p: truth(p) if p else "mumps", lambda p: 0.01 * (1 + p))})
    [comparison] = compare(rows, records=records)
    [said] = [line for line in legend([comparison]) if "The base answers" in line]
    assert "7 of 8 questions" in said
    rows, records = run(ALL)
    assert not [line for line in legend(compare(rows, records=records)) if "The base answers" in line]


def test_distances_are_those_of_the_samples_of_both_rows(run):
    rows, records = run(ALL)
    [comparison] = distances(rows, records)
    assert [line.method for line in comparison.lines] == ["finetune", "silent", "again", "overdone"]
    nll = {name: np.array([-np.mean(each["logprobs"]) for each in of]) for name, of in ALL.items()}
    ratios = {
        name: [log_truth_ratio(record_of(each, "forget", "a"), STRICT) for each in of] for name, of in ALL.items()
    }
    for name in ("finetune", "silent", "again", "overdone"):
        pairs = nll[name][:, None] - nll["retrain"][None, :]
        test = ks_2samp(ratios[name], ratios["retrain"])
        expected = {
            "nll_gap": nll[name].mean() - nll["retrain"].mean(),
            "nll_auc": ((pairs > 0) + 0.5 * (pairs == 0)).mean(),
            "ks": test.statistic,
            "forget_quality": math.log10(test.pvalue),
        }
        for distance, value in expected.items():
            assert column(comparison, f"distance.{distance}")[name].mean == pytest.approx(value, abs=1e-9), (
                name,
                distance,
            )


def test_a_test_by_ranks_finds_the_same_of_odds_as_of_ratios():
    odds = [TruthOdds().values(record_of(each, "forget", "a"), STRICT)[0] for each in NEVER_KNEW]
    ratios = [log_truth_ratio(record_of(each, "forget", "a"), STRICT) for each in NEVER_KNEW]
    assert np.argsort(odds).tolist() == np.argsort(ratios).tolist()


def test_without_a_retrained_model_there_are_no_distances(run):
    rows, records = run({name: of for name, of in ALL.items() if name != "retrain"})
    assert distances(rows, records) == []
    rows, records = run({**ALL, "retrain": None})
    assert distances(rows, records) == []
