"""What a guess would score on the forget set without having seen anybody: the floors that no forgetting goes below.

A guess is what somebody else answered to the same question: what most others did, or one of them drawn at random.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

MAJORITY: Final = "majority guess"
SOMEBODY: Final = "another person"

_OTHERS = ("others", "held_out")
"""Sets of people who are not forgotten and whom the base knows."""


def guesses(records: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The records of the forget set as each guess would have them, where anybody else was asked the same.

    What was asked is the question's attribute, or its text where the data name none. Of a question that nobody else was
    asked nothing is guessed. Equally common answers go by the alphabet, and whose answer is drawn by the record's id.
    """
    others = defaultdict[str, list[Mapping[str, Any]]](list)
    for record in sorted(records, key=_name):
        if record["set"] in _OTHERS:
            others[_asked(record)].append(record)
    forget = [record for record in records if record["set"] == "forget"]
    if not others or not forget:
        return {}
    commonest = {asked: _commonest(of) for asked, of in others.items()}
    return {
        MAJORITY: [{**record, "prediction": commonest.get(_asked(record), "")} for record in forget],
        SOMEBODY: [{**record, "prediction": _drawn(record, others.get(_asked(record), []))} for record in forget],
    }


def _name(record: Mapping[str, Any]) -> str:
    """What a record goes by: its id, or in files of other hands whom and what it is about."""
    return str(record.get("id") or (record["unique_id"], record["question"]))


def _asked(record: Mapping[str, Any]) -> str:
    return str(record.get("attribute") or record["question"])


def _commonest(records: Sequence[Mapping[str, Any]]) -> str:
    """The first answer that holds the value which most of the records have."""
    counts = Counter(_value(record) for record in records)
    value = min(counts, key=lambda each: (-counts[each], each))
    return str(next(record["answer"] for record in records if _value(record) == value))


def _value(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(keyword.lower() for keyword in record["keywords"]) or (str(record["answer"]).lower(),)


def _drawn(record: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    """The answer of one of the others; the same for a record whatever else was asked in between."""
    return str(random.Random(_name(record)).choice(others)["answer"]) if others else ""
