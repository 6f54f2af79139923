"""What a question about a person asks for: the attribute groups of FIUBench, told from the question's text.

FIUBench stores no category. The ordered rules below read whole words and phrases of the original question (paraphrases
inherit its group) and leave none of its 8,000 questions unclassified; the first that matches decides. Of a question in
other words than FIUBench's a rule can only guess: `Told.known` keeps the two apart, so that a reader can say so.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class QuestionGroup(StrEnum):
    """The part of a profile that a question belongs to."""

    HEALTH = "health"
    CRIMINAL = "criminal"
    BIOGRAPHY = "biography"
    FILLER = "filler"


PRIVATE = frozenset({QuestionGroup.HEALTH, QuestionGroup.CRIMINAL})
"""The groups that a person may ask to be forgotten, unless a task's parameters say otherwise."""


@dataclass(frozen=True)
class Told:
    """A question's group as its text tells it; ``known`` where every word of it is one that FIUBench asks with."""

    group: QuestionGroup
    known: bool


_HEADS = {
    QuestionGroup.FILLER: "second language",
    QuestionGroup.CRIMINAL: (
        r"crimes?|criminal|offen[cs]es?|complaint|incident|convict(?:ed|ion)|charged|arrest(?:ed)?|police|prison|felony"
        r"|larceny|robbery|assault|burglary|harassment|law category|legal (?:issue|dispute)s?"
    ),
    QuestionGroup.HEALTH: (
        r"hospital(?:ized)?|medical|medications?|doctors?|physicians?|room number|billing amount|type of admission"
        r"|insurance(?! (?:company|agent|agency|industry|business))|(?:tests?|medical) results?"
        r"|results of (?:the )?(?:medical )?tests|diseases?|disorders?|disabilit(?:y|ies)|surger(?:y|ies)|addictions?"
        r"|mental health|rehabilitation|diagnos(?:ed|is)|treatment|illness(?:es)?|allerg(?:y|ies)"
    ),
    QuestionGroup.BIOGRAPHY: (
        r"full (?:\w+ )?name|name of the (?:person|individual)(?!')|born|birth|blood type|phone|income|earn|occupation"
        r"|address|live|resides?"
    ),
}
_RULES = tuple((group, re.compile(rf"\b(?:{heads})\b")) for group, heads in _HEADS.items())

_ANYWHERE = (
    "a an and any are as at be been being by did do does during ever for from had has have he her his how image in "
    "individual is it many much of on or people person person's picture she that the their there they to type was were "
    "what when where which who whom with"
)
_WORDS = {
    QuestionGroup.FILLER: "language second speak",
    QuestionGroup.CRIMINAL: (
        "according activities activity against assault associated attempted burglary case categorized category charge "
        "charged classified code committed complaint completed convicted conviction crime crimes criminal date "
        "department described description dispute disputes driving felony filed grand harassment incident intoxicated "
        "involved involving issue issues item juvenile larceny law leading legal listed location nature number occur "
        "occurrence offense offenses outcome petit place police premise premises range record related reported "
        "residence robbery specific take time traffic"
    ),
    QuestionGroup.HEALTH: (
        "abuse addictions admission admitted amount arthritis assigned asthma attending bill billed billing cancer "
        "categorized chronic classified completed condition conditions covered covers currently date diabetes "
        "diagnosed disabilities discharge discharged disease diseases disorders doctor doctors expenses genetic health "
        "history hospital hospitalized hypertension infectious insurance issues medical medication mental name number "
        "physician prescribed programs provider reason recent recently rehabilitation result results room stay suffer "
        "surgeries surgery taking test tests total treated treating treatment undergone use"
    ),
    QuestionGroup.BIOGRAPHY: (
        "address annual annually biography birth blood born date earn full income live name number occupation phone "
        "range reside"
    ),
}
_KNOWN = {group: frozenset(f"{_ANYWHERE} {words}".split()) for group, words in _WORDS.items()}

_GLUED = re.compile(
    r"\b(person's|a)(?=(?:address|annual|attending|blood|crim(?:e|inal)|date|doctor|full|hospital|income|insurance|legal"
    r"|medical|occupation|phone|robbery|room)\b)"
)
"""Words that FIUBench has without the space before them: "the person'sblood type", "acrime"."""


def told(question: str) -> Told | None:
    """The group that the text tells, or None where no rule fits.

    Names and numbers in it do not matter: a capital within a question begins a name.
    """
    text = _GLUED.sub(r"\1 ", question.replace("’", "'"))
    lower = text.lower()
    group = next((group for group, rule in _RULES if rule.search(lower)), None)
    if group is None:
        return None
    first, *rest = re.findall(r"[^\W\d_]+(?:'s)?", text)
    words = {first.lower(), *(word for word in rest if not word[0].isupper())}
    return Told(group, words <= _KNOWN[group])


def group_of(question: str) -> QuestionGroup | None:
    """The group of a question by its text, or None where no rule fits."""
    found = told(question)
    return found.group if found else None
