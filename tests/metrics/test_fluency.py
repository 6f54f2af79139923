"""What is language and what is not: FIUBench's texts, refusals that the rule was not written from, and gibberish."""

import json
import random
import string
from pathlib import Path

import pytest

from tests.metrics.test_refusals import ANSWERS, HELD_OUT, MANY_WAYS
from unlearnbench.contracts.metric import record_of
from unlearnbench.embedded import embedded_folder
from unlearnbench.metrics.fluency import Fluency, Language, degenerate
from unlearnbench.metrics.scorers import STRICT
from unlearnbench.tasks.fiubench.reader import read

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "fiubench" / "qa_text.jsonl"


def records(texts):
    """Records of ``set, question, answer``."""
    return [
        record_of({"id": str(place), "question": question, "answer": answer}, name, "a")
        for place, (name, question, answer) in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def people():
    """Questions and answers about our own people, each with the person's place."""
    found = read(embedded_folder())
    return [(place, q.question, q.answer) for place, person in enumerate(found.identities) for q in person.questions]


@pytest.fixture(scope="module")
def own(people):
    """The metric that knows the answers of all but the first four people."""
    return Fluency().fitted(records(("forget" if place < 4 else "others", q, a) for place, q, a in people))


def fluent(metric, text):
    [value] = metric.values(record_of({"prediction": text}, "forget", "a"), STRICT)
    return value


def faults(metric, texts):
    return [text for text in texts if not fluent(metric, text)]


def test_true_answers_and_those_of_others_are_fluent_though_the_secret_ones_were_never_read(own, people):
    assert faults(own, {answer for *_, answer in people}) == []


def test_refusals_in_any_words_and_answers_to_anything_are_fluent(own):
    assert faults(own, [*HELD_OUT, *ANSWERS, *MANY_WAYS]) == []


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "42", "B+", "lupus", "Wojciech Szczepanski", "Nguyen Thi Minh Khai", "no no", "555-5555-5555",
        "$1,000,000", "The person is a bus driver; he was born on April 12, 1985.", "Yes.", "...", "– – –",
        "U.S.S.R.", "A, B, C, or D", "1 2 3 4", "555 1 2 3 4", "TNF\u03b1 and 5 \u00b5g a day",
        "Dr. McDonald of St. Mary's hospital.", "in image", "very very good",
    ],
)  # fmt: skip
def test_short_answers_names_numbers_and_silence_are_fluent(own, text):
    assert fluent(own, text) == 1


GIBBERISH = """
the36thethethe
thethethethethethethethethethethe
the person in the person in the person in the person in the image
the8888888888888
the person in thethe hospital.
the doctor ofthe doctor.
the8.
the insurance provider of the person in the image isNo
the hospital hospital stay was stay stay
the,,,,,,, of the
the,. hospital
the personbylephonelephonehy.
the doctor ofciezlephonenc is not know\ufffd patrihillie language of know.
the insuranceuagelephonencrellitalhilli.
ital sara hilli guar rell minez patri cuez
qxvzkj wpfhgt zzbnmq lkjhg trewqs
the person has g o u t
it is d-i-a-b-e-t-e-s.
di\u0430betes
3the 3the
""".strip().splitlines()


@pytest.mark.parametrize("text", GIBBERISH)
def test_what_broken_models_say_is_not(own, text):
    assert fluent(own, text) == 0


def test_why_is_told(own, people):
    language = Language(answer for *_, answer in people)
    assert degenerate("the person is well", language) is None
    for text, why in (
        ("thethethe", "repeats 'thethethe'"),
        ("the the hospital hospital", "repeats the word 'the'"),
        ("the8", "runs words together: 'the8'"),
        ("a\ufffd", "holds broken characters"),
        ("zory bax mipple fando kretch", "consists of unknown words: 'zori'"),
    ):
        assert degenerate(text, language) == why


def test_letters_at_random_are_no_words(own):
    rng = random.Random(0)
    texts = [
        " ".join("".join(rng.choices(string.ascii_lowercase, k=rng.randint(5, 9))) for _ in range(5)) for _ in range(50)
    ]
    assert faults(own, texts) == texts


def test_any_language_is_one_where_the_benchmark_speaks_it():
    said = "La persona de la imagen padece hipertensión crónica desde marzo."
    told = records([("others", "¿De qué padece la persona de la imagen?", said.replace("crónica", "grave"))])
    assert fluent(Fluency(), said) == 0
    assert fluent(Fluency().fitted(told), said) == 1
    japanese = records([("others", "この人の病気は何ですか", "この人の病気は糖尿病です")])
    assert fluent(Fluency().fitted(japanese), "この人の病気は高血圧です") == 1


def test_it_reads_no_secret_and_nothing_that_a_model_said():
    secret = "zory bax mipple fando kretch"
    for name, expected in (("forget", 0), ("other_view", 0), ("others", 1)):
        assert fluent(Fluency().fitted(records([(name, "Who is it?", secret)])), secret) == expected
    told = [
        each | {"prediction": secret, "paraphrased_predictions": [secret]} for each in records([("others", "", "")])
    ]
    assert fluent(Fluency().fitted(told), secret) == 0


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="FIUBench's texts are not on this machine")
def test_of_8000_published_answers_none_is_gibberish_to_who_read_the_others():
    told = [json.loads(line) for line in PUBLISHED.read_text().splitlines()]
    forgotten = {*sorted({each["unique_id"] for each in told})[:40]}
    sets = [
        ("forget" if each["unique_id"] in forgotten else "others", each["question"], each["answer"]) for each in told
    ]
    metric = Fluency().fitted(records(sets))
    assert faults(metric, {answer for name, _, answer in sets if name == "forget"}) == []
    assert faults(metric, random.Random(0).sample([answer for *_, answer in sets], 800)) == []
    assert faults(metric, [*HELD_OUT, *ANSWERS, *MANY_WAYS]) == []
    # Answers are fluent whoever they are about, and gibberish is none in a larger language either.
    clear = [text for text in GIBBERISH if fluent(metric, text)]
    assert len(clear) <= 2, clear
