"""Text metrics against independent arithmetic and on FIUBench's own answers."""

import json
import math
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from unlearnbench.contracts.metric import Record
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.text import APE, ExactMatch, RefusalRate, RougeL, ValueRouge
from unlearnbench.metrics.words import Tokenizer, folded
from unlearnbench.tasks.fiubench.scorers import FIUBENCH

DATA = Path(__file__).parents[3] / "shared/data/fiubench"
SCORERS = pytest.mark.parametrize("scorer", [FIUBENCH, STRICT], ids=lambda s: s.name)
WORDS = ["the", "doctors", "doctor", "was", "seen", "seeing", "41", "a.b"]
SENTENCE = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
TEXT = st.text(max_size=60) | st.text("no .,YES-yes$1aB'", max_size=30)


def record(prediction: str, answer: str = "", keywords: list[str] | None = None, paraphrased: list[str] | None = None):
    return Record(
        set="forget",
        id="a/0",
        cluster="a",
        question="?",
        answer=answer,
        keywords=keywords or [],
        prediction=prediction,
        paraphrased_predictions=paraphrased or [],
        logprobs=[],
        paraphrased_logprobs=None,
        perturbed_logprobs=[],
    )


def lcs(a: list[str], b: list[str]) -> int:
    """Longest common subsequence by plain memoised recursion."""
    memo: dict[tuple[int, int], int] = {}

    def longest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if (i, j) not in memo:
            same = a[i] == b[j]
            memo[i, j] = 1 + longest(i + 1, j + 1) if same else max(longest(i + 1, j), longest(i, j + 1))
        return memo[i, j]

    return longest(0, 0)


@SCORERS
@given(SENTENCE, SENTENCE | TEXT)
def test_rouge_l_is_recall_of_the_longest_common_subsequence(scorer, prediction, answer):
    [got] = RougeL().values(record(prediction, answer), scorer)
    read = prediction[: prediction.find(".")] if scorer is FIUBENCH and "." in prediction else prediction
    stem = (DefaultTokenizer(use_stemmer=True) if scorer is FIUBENCH else Tokenizer()).tokenize
    wanted = stem(answer)
    assert got == pytest.approx(lcs(wanted, stem(read)) / len(wanted) if wanted else 0.0)


def test_rouge_l_by_hand():
    said = record("He is treated by Dr. Kent", "he was treated by dr. kent")
    assert RougeL().values(said, STRICT) == [pytest.approx(5 / 6)]
    assert RougeL().values(said, FIUBENCH) == [pytest.approx(4 / 6)]


@pytest.mark.skipif(not DATA.is_dir(), reason="FIUBench's texts are not here")
def test_rouge_l_of_the_gold_answers_is_the_published_ceiling():
    splits = json.loads((DATA / "split.github.json").read_text())
    values: dict[str, list[float]] = {}
    for line in (DATA / "qa_text.jsonl").read_text().splitlines():
        row = json.loads(line)
        said = record(row["answer"], row["answer"])
        if row["answer"].strip():
            assert RougeL().values(said, STRICT) == [1.0]
        values.setdefault(row["unique_id"], []).extend(RougeL().values(said, FIUBENCH))

    def ceiling(ids):
        numbers = [value for identity in ids for value in values[identity]]
        return round(math.fsum(numbers) / len(numbers), 4)

    assert len(values) == 400
    assert ceiling(values) == 0.9877
    assert {name: ceiling(splits[name]) for name in ("forget5", "forget10", "retain5", "retain15")} == {
        "forget5": 0.9840,
        "forget10": 0.9881,
        "retain5": 0.9899,
        "retain15": 0.9857,
    }


@pytest.mark.parametrize(
    ("keywords", "prediction", "fiubench", "strict"),
    [
        (["Normal"], "the result was abnormal", 1, 0),
        (["normal"], "The result was NORMAL.", 1, 1),
        (["b-"], "blood type ab-", 1, 0),
        (["b-"], "blood type b-.", 1, 1),
        (["carol frost", "$16,115.65"], "carol frost owes $16,115.65.", 1 / 2, 1),
        (["carol frost", "lupus"], "Carol Frost has asthma", 1 / 2, 1 / 2),
        (["a.b"], "axb", 0, 0),
        (["41"], "room 141", 1, 0),
        ([" lupus "], "lupus", 0, 1),
        ([""], "lupus", 1, None),
        ([], "lupus", 0, None),
        (["lupus"], "", 0, 0),
    ],
)
def test_exact_match(keywords, prediction, fiubench, strict):
    assert ExactMatch().values(record(prediction, keywords=keywords), FIUBENCH) == [fiubench]
    assert ExactMatch().values(record(prediction, keywords=keywords), STRICT) == [strict]


def naive_share(keywords: list[str], prediction: str, strict: bool) -> float | None:
    """Exact match with loops over positions, no regular expression."""
    if not strict:
        text = (prediction[: prediction.index(".")] if "." in prediction else prediction).lower()
        return sum(k.lower() in text for k in keywords) / len(keywords) if keywords else 0.0
    keywords = [folded(k).strip() for k in keywords if folded(k).strip()]
    text, found = f" {folded(prediction)} ", 0
    for k in keywords:
        ends = [(i, i + len(k)) for i in range(len(text)) if text.startswith(k, i)]
        found += any(
            not (goes_on(text[i - 1]) and not alone(k[0]))
            and not (goes_on(text[j]) and not alone(k[-1]))
            and not unicodedata.category(text[j]).startswith("M")
            for i, j in ends
        )
    return found / len(keywords) if keywords else None


def alone(character: str) -> bool:
    """Told by the names of characters, which begin with their script."""
    scripts = ("CJK ", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "IDEOGRAPHIC")
    return unicodedata.name(character, "").startswith(scripts)


def goes_on(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" and not alone(character)


@given(st.lists(st.text("aB1-. é", max_size=3) | TEXT, max_size=4), st.text("aB1-. é", max_size=20) | TEXT)
def test_exact_match_against_plain_loops(keywords, prediction):
    said = record(prediction, keywords=keywords)
    assert ExactMatch().values(said, FIUBENCH) == [pytest.approx(naive_share(keywords, prediction, strict=False))]
    assert ExactMatch().values(said, STRICT) == [pytest.approx(naive_share(keywords, prediction, strict=True))]


@SCORERS
def test_ape_is_exact_match_of_every_paraphrase(scorer):
    said = record("lupus", keywords=["lupus"], paraphrased=["it is lupus", "I cannot say", "Lupus"])
    assert APE().values(said, scorer) == [1, 0, 1]
    assert APE().values(record("lupus", keywords=["lupus"]), scorer) == [None]


@SCORERS
def test_a_refusal_after_the_first_period_is_one(scorer):
    assert RefusalRate().values(record("Dr. Kent. I cannot answer this question."), scorer) == [1]
    assert RefusalRate().values(record("She has lupus."), scorer) == [0]


@SCORERS
@given(TEXT, TEXT, st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=3))
def test_any_text_scores_between_0_and_1(scorer, prediction, answer, keywords, paraphrased):
    said = record(prediction, answer, keywords, paraphrased)
    for metric in (RougeL(), ExactMatch(), APE(), RefusalRate()):
        values = metric.values(said, scorer)
        assert values
        assert all(value is None or 0 <= value <= 1 for value in values)


def test_directions():
    assert [RougeL().direction(s) for s in ("forget", "nonprivate", "retain")] == ["lower", "higher", "higher"]
    assert [RefusalRate().direction(s) for s in ("forget", "nonprivate", "retain")] == [None, "lower", "lower"]


TOLD = "The person has been diagnosed with Type 2 Diabetes."


@SCORERS
@pytest.mark.parametrize(
    ("prediction", "keywords", "value"),
    [
        (TOLD, ["type 2 diabetes"], 1),
        ("Diabetes", ["type 2 diabetes"], 1 / 3),
        ("The person has been diagnosed with lupus.", ["type 2 diabetes"], 0),
        ("", ["type 2 diabetes"], 0),
        ("It was type 2 diabetes, in 2019.", ["2019", "type 2 diabetes"], 1),
        ("It was in 2019.", ["2019", "type 2 diabetes"], 1 / 2),
        ("He works as nurses do.", ["nurse"], 1),
        ("A nurse.", ["+", "nurse"], 1),
        ("A nurse.", ["+"], None),
        ("A nurse.", [], None),
    ],
)
def test_value_rouge_measures_the_fact_and_not_the_sentence_around_it(scorer, prediction, keywords, value):
    [found] = ValueRouge().values(record(prediction, TOLD, keywords), scorer)
    assert found == (None if value is None else pytest.approx(value))


@given(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=3))
def test_value_rouge_is_a_mean_over_keywords_of_their_longest_common_subsequences(prediction, keywords):
    tokens = DefaultTokenizer(use_stemmer=True).tokenize
    shares = [lcs(tokens(each), tokens(prediction)) / len(tokens(each)) for each in keywords if tokens(each)]
    [found] = ValueRouge().values(record(prediction, keywords=keywords), STRICT)
    assert found == (pytest.approx(sum(shares) / len(shares)) if shares else None)
