"""Yes/no parsing as in MME's and POPE's scripts, and their scores against the definitions, counted naively."""

import json
import random
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearnbench.errors import DataError, RecordError
from unlearnbench.metrics.yes_no import CONSTANTS, parse_strict
from unlearnbench.tasks.mme.scores import COGNITION, PERCEPTION, SUBTASKS, mme, parse_mme
from unlearnbench.tasks.mme.scores import SCORERS as MME_SCORERS
from unlearnbench.tasks.pope.scores import SCORERS as POPE_SCORERS
from unlearnbench.tasks.pope.scores import SPLITS, parse_pope, pope

SHARED = Path(__file__).parents[3] / "shared" / "data"

# What each official script makes of it, MME (None: "other") and POPE, and what the strict reading does.
SAID = [
    ("Yes.", True, True, True),
    ("yes", True, True, True),
    ("NO", False, True, False),
    ("No, there is none.", False, False, False),
    ("There is no dog in the image.", None, False, None),
    ("There isn't a dog.", None, True, None),
    ("Yes, there is a dog, but it is not a cat.", True, False, True),
    ("Yes. It is not a cat.", True, True, True),
    ("I'm not able to identify people.", None, False, None),
    ("I cannot provide identification.", None, True, None),
    ("None", False, True, None),
    ("nothing", False, True, None),
    ("Not sure", False, True, None),
    ("\n\nYes", None, True, True),
    ("**Yes**", None, True, True),
    ("Yes or no? I cannot say.", True, True, None),
    ("Yesterday", True, True, None),
    (" no", False, False, False),
    ("", None, True, None),
    ("asdf qwer", None, True, None),
]


@pytest.mark.parametrize(("text", "by_mme", "by_pope", "strictly"), SAID)
def test_parsers(text, by_mme, by_pope, strictly):
    assert parse_mme(text) is by_mme
    assert parse_pope(text) is by_pope
    assert parse_strict(text) is strictly


@given(st.text())
def test_parsers_take_any_text(text):
    assert parse_mme(text) in (True, False, None)
    assert parse_pope(text) in (True, False)
    assert parse_strict(text) in (True, False, None)


def asked(category, image, answer, prediction, number=0):
    """A record that both benchmarks could have."""
    said = {"question": f"Is it {number}?", "answer": answer, "prediction": prediction}
    return {"category": category, "question_id": f"{category}/{image}", "image_source": image, **said}


def pair(category, image, to_yes, to_no):
    return [asked(category, image, "Yes", to_yes, 0), asked(category, image, "No", to_no, 1)]


def numbers(scores):
    return {name: metric.value for name, metric in scores.items()}


# -------------------------------------------------------------------------------------------------------------- MME
def test_mme_by_hand():
    records = [
        *pair("count", "1.png", "Yes", "No"),
        *pair("count", "2.png", "Yes", "Yes"),
        *pair("celebrity", "1.png", "I cannot answer", "No"),
        *pair("code_reasoning", "1.png", "yes", "no"),
    ]
    count, celebrity, code = 100 * 3 / 4 + 100 * 1 / 2, 100 * 1 / 2 + 0, 200
    assert numbers(mme(records, seed=0)) == {
        "accuracy": 6 / 8,
        "accuracy_plus": 2 / 4,
        "perception": count + celebrity,
        "cognition": code,
        "total": count + celebrity + code,
        "accuracy_without_celebrity": 5 / 6,
        "accuracy_plus_without_celebrity": 2 / 3,
        "perception_without_celebrity": count,
        "total_without_celebrity": count + code,
        "yes_ratio": 4 / 8,
        "parse_failure_rate": 1 / 8,
        "count.score": count,
        "count.accuracy": 3 / 4,
        "count.accuracy_plus": 1 / 2,
        "celebrity.score": celebrity,
        "celebrity.accuracy": 1 / 2,
        "celebrity.accuracy_plus": 0,
        "code_reasoning.score": code,
        "code_reasoning.accuracy": 1,
        "code_reasoning.accuracy_plus": 1,
    }


def test_mme_without_cognition_says_so():
    scores = mme(pair("count", "1.png", "Yes", "No"), seed=0)
    assert (scores["cognition"].value, scores["cognition"].reason) == (None, "no cognition questions")
    assert mme([], seed=0)["accuracy"].reason == "no MME questions"


def test_mme_refuses_half_a_pair_and_says_which():
    records = [*pair("color", "1.png", "Yes", "No"), *pair("count", "1.png", "Yes", "No")[:1]]
    with pytest.raises(RecordError, match=r"only one question on 'count/1\.png' in count") as caught:
        mme(records, seed=0)
    assert caught.value.place == 2
    with pytest.raises(RecordError, match=r"a third question on 'color/1\.png'") as caught:
        mme([*records[:2], records[0]], seed=0)
    assert caught.value.place == 2


def test_an_answer_that_is_neither_yes_nor_no_is_refused():
    with pytest.raises(ValueError, match="must be yes or no, not 'perhaps'"):
        pope([asked("random", "1", "perhaps", "yes")], seed=0)


def test_the_perception_interval_is_that_of_its_parts():
    rng = random.Random(0)
    records = [r for i in range(200) for r in pair("count", str(i), *rng.choices(["yes", "no"], [2, 1], k=2))]
    got = mme(records, seed=0)
    plus, accuracy = got["accuracy_plus"], got["accuracy"]
    assert got["perception"].value == pytest.approx(100 * plus.value + 100 * accuracy.value)
    width = got["perception"].ci_high - got["perception"].ci_low
    assert (
        100 * (plus.ci_high - plus.ci_low)
        < width
        < 100 * (plus.ci_high - plus.ci_low + accuracy.ci_high - accuracy.ci_low) + 5
    )


# ------------------------------------------------------------------------------------------------------------- POPE
def test_pope_by_hand():
    records = [
        asked("random", "1", "yes", "yes"),
        asked("random", "1", "no", "yes"),
        asked("random", "2", "no", "no"),
        asked("popular", "1", "yes", "No"),
        asked("popular", "2", "no", "No."),
    ]
    got = pope(records, seed=0)
    assert {name: value for name, value in numbers(got).items() if value is not None} == pytest.approx(
        {
            "accuracy": (2 / 3 + 1 / 2) / 2,
            "recall": (1 + 0) / 2,
            "f1": (2 / 3 + 0) / 2,
            "yes_ratio": (2 / 3 + 0) / 2,
            "parse_failure_rate": 0,
            "popular.accuracy": 1 / 2,
            "popular.recall": 0,
            "popular.f1": 0,
            "popular.yes_ratio": 0,
            "popular.parse_failure_rate": 0,
            "random.accuracy": 2 / 3,
            "random.precision": 1 / 2,
            "random.recall": 1,
            "random.f1": 2 / 3,
            "random.yes_ratio": 2 / 3,
            "random.parse_failure_rate": 0,
        }
    )
    assert got["popular.precision"].reason == got["precision"].reason == "nothing was answered yes"


def test_pope_of_a_collapsed_model():
    records = [asked("random", str(i), "no" if i % 2 else "yes", "asdf") for i in range(100)]
    scores = pope(records, seed=0)
    assert (scores["accuracy"].value, scores["yes_ratio"].value) == (0.5, 1)
    assert scores["f1"].value == pytest.approx(2 / 3)
    assert scores["f1"].ci_low < 2 / 3 < scores["f1"].ci_high
    assert scores["yes_ratio"].higher_is_better is None
    assert scores["parse_failure_rate"].value == 1
    strict = pope(records, POPE_SCORERS["strict"], seed=0)
    assert [strict[name].value for name in ("accuracy", "recall", "f1", "yes_ratio")] == [0, 0, 0, 0]
    assert strict["precision"].value is None


def test_pope_f1_without_any_yes_is_undefined():
    scores = pope([asked("random", "1", "no", "no"), asked("random", "2", "no", "no")], seed=0)
    assert scores["accuracy"].value == 1
    assert scores["f1"].value is None
    assert "yes" in scores["f1"].reason
    assert pope([], seed=0)["f1"].reason == "no samples"


def test_scorers_by_name():
    for scorers in (MME_SCORERS, POPE_SCORERS):
        assert {name: scorer.label for name, scorer in scorers.items()} == {
            name: {"name": name, "version": version} for name, version in (("official", "1"), ("strict", "2"))
        }


# ------------------------------------------------------------------------------------------- the real question files
def official_mme():
    files = sorted((SHARED / "mme").glob("*.txt"))
    if not files:
        pytest.skip("MME's questions are not on this machine")
    for path in files:
        for line in path.read_text().splitlines():
            image, question, answer = line.split("\t")
            yield {
                "category": path.stem,
                "question_id": f"{path.stem}/{image}",
                "question": question,
                "answer": answer,
            }


def official_pope():
    if not (SHARED / "pope").is_dir():
        pytest.skip("POPE's questions are not on this machine")
    for split in SPLITS:
        for line in (SHARED / "pope" / f"coco_pope_{split}.json").read_text().splitlines():
            each = json.loads(line)
            yield {
                "category": split,
                "question_id": each["question_id"],
                "image_source": each["image"].removesuffix(".jpg"),
                "question": each["text"],
                "answer": each["label"],
            }


def predicted(records, seed):
    """Every awkward kind of answer, more often right than wrong."""
    rng = random.Random(seed)
    for record in records:
        right = record["answer"].capitalize()
        yield record | {"prediction": rng.choice([right, right.lower(), f"{right}.", *(text for text, *_ in SAID)])}


def naive_mme(records):
    """The official script's way: per subtask, dictionaries of pictures, then sums."""
    labels = {"yes": 1, "no": 0}
    scores = {}
    for subtask in SUBTASKS:
        pictures, right, total = defaultdict(int), 0, 0
        for record in records:
            if record["category"] == subtask:
                text = record["prediction"].lower()
                said = labels.get(text, 1 if "yes" in text[:4] else 0 if "no" in text[:4] else -1)
                hit = said == labels[record["answer"].lower()]
                pictures[record["question_id"]] += hit
                right, total = right + hit, total + 1
        accuracy = right / total
        plus = sum(hits == 2 for hits in pictures.values()) / len(pictures)
        scores[subtask] = 100 * accuracy + 100 * plus
    return scores


def naive_pope(records):
    """The official script's way: four counts and their ratios."""
    tp = fp = tn = fn = 0
    for record in records:
        text = record["prediction"]
        if text.find(".") != -1:
            text = text.split(".")[0]
        words = text.replace(",", "").split(" ")
        said = "no" if "No" in words or "not" in words or "no" in words else "yes"
        tp += said == record["answer"] == "yes"
        tn += said == record["answer"] == "no"
        fp += said == "yes" != record["answer"]
        fn += said == "no" != record["answer"]
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    return {
        "accuracy": (tp + tn) / (tp + tn + fp + fn),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "yes_ratio": (tp + fp) / (tp + tn + fp + fn),
    }


@pytest.mark.parametrize("seed", range(3))
def test_mme_is_what_its_script_computes(seed):
    records = list(predicted(official_mme(), seed))
    expected, got = naive_mme(records), mme(records, seed=0)
    assert {name: got[f"{name}.score"].value for name in SUBTASKS} == pytest.approx(expected)
    assert got["perception"].value == pytest.approx(sum(expected[name] for name in PERCEPTION))
    assert got["cognition"].value == pytest.approx(sum(expected[name] for name in COGNITION))
    assert (got["accuracy"].n, len(SUBTASKS)) == (2374, 14)


@pytest.mark.parametrize("seed", range(3))
def test_pope_is_what_its_script_computes(seed):
    records = list(predicted(official_pope(), seed))
    splits = {split: naive_pope([r for r in records if r["category"] == split]) for split in SPLITS}
    got = pope(records, seed=0)
    for name in ("accuracy", "precision", "recall", "f1", "yes_ratio"):
        for split in SPLITS:
            assert got[f"{split}.{name}"].value == pytest.approx(splits[split][name])
        assert got[name].value == pytest.approx(sum(of[name] for of in splits.values()) / 3)
    assert got["accuracy"].n == 9000


def test_constant_answers_on_the_official_questions():
    records = list(official_mme())
    scores = {name: mme([r | {"prediction": text} for r in records], seed=0) for name, text in CONSTANTS.items()}
    for name in ("always yes", "always no"):
        assert [scores[name][each].value for each in ("total", "perception", "cognition")] == [700, 500, 200]
        assert scores[name]["total_without_celebrity"].value == 650
        assert (scores[name]["total"].ci_low, scores[name]["total"].ci_high) == (700, 700)
    assert (scores["always refuses"]["total"].value, scores["always refuses"]["parse_failure_rate"].value) == (0, 1)
    records = list(official_pope())
    scores = {name: pope([r | {"prediction": text} for r in records], seed=0) for name, text in CONSTANTS.items()}
    assert scores["always yes"]["f1"].value == pytest.approx(2 / 3)
    assert scores["always no"]["f1"].value == 0
    assert {of["accuracy"].value for of in scores.values()} == {0.5}
    # POPE's own reading takes a refusal for a yes; how many were clear says what it is worth.
    assert scores["always refuses"]["f1"].value == pytest.approx(2 / 3)
    assert scores["always refuses"]["parse_failure_rate"].value == 1


# --------------------------------------------------------------------------------------------------------- any input
PICTURES = st.lists(
    st.tuples(
        st.sampled_from(["count", "color", "text_translation"]),
        st.sampled_from("abc"),
        st.lists(st.sampled_from(["yes", "no"]) | st.text(max_size=5), min_size=2, max_size=2),
    ),
    max_size=8,
    unique_by=lambda each: each[:2],
)


@settings(max_examples=40, deadline=None)
@given(PICTURES, st.randoms(), st.sampled_from(["official", "strict"]))
def test_the_order_of_mme_never_matters_and_shares_are_shares(pictures, rng, scorer):
    records = [record for category, image, said in pictures for record in pair(category, image, *said)]
    before = mme(records, MME_SCORERS[scorer], seed=0)
    rng.shuffle(records)
    assert mme(records, MME_SCORERS[scorer], seed=0) == before
    for name, metric in before.items():
        most = 600 if name.split("_")[0] in ("perception", "cognition", "total") else 200 if "score" in name else 1
        assert metric.value is None or 0 <= metric.value <= most


POPE_RECORDS = st.lists(
    st.builds(
        asked,
        st.sampled_from(SPLITS),
        st.sampled_from("abc"),
        st.sampled_from(["yes", "No"]),
        st.sampled_from(["yes", "no"]) | st.text(max_size=5),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(POPE_RECORDS, st.randoms(), st.sampled_from(["official", "strict"]))
def test_the_order_of_pope_never_matters_and_shares_are_shares(records, rng, scorer):
    before = pope(records, POPE_SCORERS[scorer], seed=0)
    rng.shuffle(records)
    assert pope(records, POPE_SCORERS[scorer], seed=0) == before
    for metric in before.values():
        assert metric.value is None or 0 <= metric.value <= 1
        assert (metric.value is None) <= (metric.reason is not None)


def test_a_record_error_is_a_data_error():
    assert issubclass(RecordError, DataError)
