"""Whether what a model says is language at all: told without a download, from the benchmark's own words.

Likelihoods of answers cannot tell it: a model that was driven into gibberish says pieces of its benchmark's sentences,
which a model of that benchmark's letters finds likelier than plain English about anything else. So an answer is
degenerate for a reason that can be named: it goes round in circles, it runs words together, or it is made of words that
the language does not have.
"""

from collections.abc import Sequence
from functools import cache

from ...contracts.metric import FORGOTTEN, Direction, Metric, Record
from ..refusals import REFUSALS
from ..scorers import Scorer
from .language import Language
from .loops import loops

__all__ = ["Fluency", "Language", "degenerate", "loops"]


class Fluency(Metric):
    """Whether the prediction, never cut, is language: 1 for true, wrong and refusing answers and for none, 0 if broken.

    Words are those of the questions of the evaluation and of the answers to what is not to be forgotten, of refusals
    and of common English; what the model said is none of it. Grammar and sense are not looked at.
    """

    name = "fluency"
    requires = ("prediction",)

    def __init__(self, language: Language | None = None) -> None:
        self._language = language or _bare()

    def direction(self, set_name: str) -> Direction | None:
        """Higher on every set; a retrained model speaks."""
        return "higher"

    def fitted(self, records: Sequence[Record]) -> "Fluency":
        """The same with the words of these records' questions and answers."""
        return Fluency(Language([*REFUSALS, *_texts(records)]))

    def evaluate(self, record: Record, scorer: Scorer) -> list[float | None]:
        """One value, 0 or 1."""
        return [float(degenerate(record["prediction"], self._language) is None)]


def degenerate(text: str, language: Language) -> str | None:
    """Why ``text`` is no language, in a few words; None where it is, or says nothing."""
    return loops(text) or language.fault(text)


def _texts(records: Sequence[Record]) -> list[str]:
    """What the records say that is no secret and no model's, each once."""
    told = (
        text
        for record in records
        for text in (record.get("question"), None if record["set"] in FORGOTTEN else record.get("answer"))
        if text
    )
    return [*dict.fromkeys(told)]


@cache
def _bare() -> Language:
    """Common English alone."""
    return Language(REFUSALS)
