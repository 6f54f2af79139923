"""Text of any script under `strict`, ASCII as before, and `fiubench` as published."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from unlearnbench.metrics.scorers import STRICT
from unlearnbench.metrics.text import ExactMatch, RougeL
from unlearnbench.metrics.words import Tokenizer, blind, folded, normalised, words
from unlearnbench.metrics.yes_no import parse_strict, truth
from unlearnbench.tasks.fiubench.scorers import FIUBENCH

ASCII = st.text(st.characters(max_codepoint=127), max_size=40) | st.text("yes doctors' b-.,12_NO", max_size=40)
SCRIPTS = st.text("añÑé文王ひカーไทยก็Иван한국ابहिं①²ﬁＹｅｓİıI١२בָ־ـُ\ufe0f\u0307\u0301\u200b\u00ad’−-. 1aB", max_size=30)
ANY = st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=30) | SCRIPTS
"""Not what this Python's Unicode does not know: another library may."""


def rouge(prediction, answer, scorer=STRICT):
    return RougeL().evaluate({"answer": answer, "prediction": prediction}, scorer)[0]


def found(keyword, prediction, scorer=STRICT):
    return ExactMatch().evaluate({"keywords": [keyword], "prediction": prediction}, scorer)[0]


# ------------------------------------------------------------------------------------------------------------ ASCII
@given(ASCII)
def test_tokens_of_ascii_are_those_of_rouge_score(text):
    published = DefaultTokenizer(use_stemmer=True).tokenize
    assert Tokenizer().tokenize(text) == published(text)
    assert Tokenizer().tokenize(f"{text} é") == [*published(text), "é"], "with another script beside it, too"
    assert normalised(text) == text


@given(ASCII, ASCII)
def test_strict_scores_of_ascii_are_as_ever(answer, prediction):
    before = RougeScorer(["rougeL"], use_stemmer=True).score(answer, prediction)["rougeL"].recall
    assert rouge(prediction, answer) == before
    wanted = answer.strip().lower()
    if wanted:
        whole = re.search(rf"(?<![0-9a-z]){re.escape(wanted)}(?![0-9a-z])", prediction.lower())
        assert found(answer, prediction) == (whole is not None)


@given(ANY, ANY)
def test_fiubench_is_as_published_byte_for_byte(answer, prediction):
    read = prediction.partition(".")[0]
    assert rouge(prediction, answer, FIUBENCH) == (
        RougeScorer(["rougeL"], use_stemmer=True).score(answer, read)["rougeL"].recall
    )
    assert found(answer, prediction, FIUBENCH) == (answer.lower() in read.lower())


# ------------------------------------------------------------------------------------------------------- any script
@given(ANY)
def test_whoever_says_the_answer_word_for_word_has_said_it(text):
    for said in (text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))):
        assert rouge(said, text) == (1 if words(text) else 0)
        if folded(text).strip():
            assert found(text, said) == 1
        assert normalised(said) == normalised(text)
    assert normalised(normalised(text)) == normalised(text)
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Врача зовут Иван.", ["врача", "зовут", "иван"]),
        ("José Muñoz", ["josé", "muñoz"]),
        ("Jose\u0301 Mun\u0303oz", ["josé", "muñoz"]),
        ("医生是王伟。", ["医", "生", "是", "王", "伟"]),
        ("医师はDr. カーター、5月12日", ["医", "师", "は", "dr", "カ", "ー", "タ", "ー", "5", "月", "12", "日"]),
        ("ชื่อก็ดี", ["ชื่", "อ", "ก็", "ดี"]),
        ("의사는 김민준입니다", ["의사는", "김민준입니다"]),
        ("डॉक्टर शर्मा", ["डॉक्टर", "शर्मा"]),
        ("الطبيب أحمد", ["الطبيب", "أحمد"]),
        ("Ｄｒ．　１２３", ["dr", "123"]),
        ("der Straße ΟΔΟΣ", ["der", "strass", "οδοσ"]),
        ("the doctor’s names, naïvely", ["the", "doctor", "s", "name", "naïvely"]),
        ("sof\u00adt hy\u200bphen", ["soft", "hyphen"]),
        ("בית־חולים مُحَمَّد ١٢", ["בית", "חולים", "محمد", "12"]),
        ("👩\u200d⚕\ufe0f Anna", ["anna"]),
    ],
)
def test_words_are_those_of_the_script(text, tokens):
    assert Tokenizer().tokenize(text) == tokens


@pytest.mark.parametrize(
    ("keyword", "prediction", "is_there"),
    [
        ("王伟", "医生是王伟", True),
        ("王芳", "医生是王伟", False),
        ("Иван", "Врача зовут ИВАН.", True),
        ("Иван", "Врача зовут Иванов", False),
        ("ana", "mañana", False),
        ("ana", "man\u0303ana", False),
        ("José", "jose\u0301", True),
        ("Jose\u0301", "JOSÉ", True),
        ("jose", "José", False),
        ("jose", "jose\u0301", False),
        ("muñoz", "Jos Mu oz", False),
        ("doctor's name", "the doctor’s name", True),
        ("the doctor’s name", "the doctor's name", True),
        ("b-", "blood type b−", True),
        ("b-", "blood type ab−", False),
        ("12", "5月12日", True),
        ("12", "5月123日", False),
        ("Kent", "医生是Kent。", True),
        ("１２", "room 12", True),
        ("น", "น้ำ", False),
        ("น้ำ", "ดื่มน้ำมาก", True),
        ("straße", "STRASSE", True),
        ("김민준", "의사는 김민준", True),
        ("김민준", "의사는 김민준입니다", True),
        ("민준", "의사는 김민준입니다", False),
        ("12", "5월 12일입니다", True),
        ("Kent", "의사는 Kent입니다", True),
        ("محمد علي", "الطبيب هو مُحَمَّد عَلِيّ.", True),
        ("محمد", "محـــمد", True),
        ("علي", "عليها", False),
        ("שלום", "שָׁלוֹם", True),
        ("בית", "בית־חולים", True),
        ("room 12", "room ١٢", True),
        ("१२", "कमरा 12", True),
        ("İstanbul", "istanbul", True),
        ("Diyarbakır", "DİYARBAKIR", True),
        ("❤", "❤\ufe0f", True),
        ("\u200b", "anything", None),
    ],
)
def test_keywords_stand_alone_in_any_script(keyword, prediction, is_there):
    assert found(keyword, prediction) == is_there


def lcs_of_characters(one: str, other: str) -> int:
    row = [0] * (len(other) + 1)
    for a in one:
        above = row[:]
        for place, b in enumerate(other):
            row[place + 1] = above[place] + 1 if a == b else max(above[place + 1], row[place])
    return row[-1]


@given(st.text("医生是王伟李娜在上海", min_size=1, max_size=12), st.text("医生是王伟李娜在上海", max_size=12))
def test_chinese_is_compared_by_characters(answer, prediction):
    assert rouge(prediction, answer) == pytest.approx(lcs_of_characters(answer, prediction) / len(answer))


@given(ANY)
def test_words_cover_every_letter_once(text):
    letters = [each for each in folded(text) if unicodedata.category(each)[0] in "LMN"]
    assert "".join(words(text)) == "".join(letters)


def test_texts_to_which_the_published_words_are_blind():
    assert [text for text in ("医生", "Иван", "Ivan Иван", "café", "é", "", "?", "…", "abc") if blind(text)] == [
        "医生", "Иван", "é",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------- yes and no
@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Ｙｅｓ", True),
        ("ＮＯ。", False),
        ("Yes，there is。", True),
        ("“No”", False),
        ("y\u200bes", True),
        ("1. Yes", True),
        ("yes\u0303", None),
        ("nó", None),
        ("はい", None),
        ("Да", None),
    ],
)
def test_yes_and_no_in_any_letters(said, read):
    assert parse_strict(said) is read


def test_right_answers_in_full_width_letters():
    assert truth("Ｙｅｓ ") is True
    assert truth("\u3000ｎｏ") is False
    with pytest.raises(ValueError, match="must be yes or no, not 'はい'"):
        truth("はい")
