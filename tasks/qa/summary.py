"""What is in a folder of tables, counted."""

from collections import Counter

from unlearnbench.contracts import Summary, SummaryTable

from .layout import Tables
from .reader import read


def summary(source: Tables) -> Summary:
    """What `unlearnbench data summary` says of a folder, a table, a map or a dataset of the hub."""
    data = read(source)
    tables = Counter(fact.where.rpartition(", ")[0] for fact in data.facts)
    groups = Counter(fact.question.group for fact in data.facts)
    marked = {name: sum(getattr(fact, which) for fact in data.facts) for name, which in _FLAGS if name in data.flags}
    counts = {
        "people": len(data.ids),
        "questions": len(data.facts),
        "without_pictures": sum(not fact.images for fact in data.facts),
        "pictures": len(data.digests),
        "tables": dict(tables),
        "groups": dict(groups),
        "marked": marked,
        "with_paraphrases": sum(bool(fact.question.paraphrased_questions) for fact in data.facts),
        "with_perturbed_answers": sum(bool(fact.question.perturbed_answers) for fact in data.facts),
        "splits": {name: len(ids) for name, ids in data.splits.items()},
        "columns_not_read": {name: [*columns] for name, columns in data.unread.items() if columns},
    }
    rows = tuple((name, str(number), ", ".join(data.unread.get(name, ()))) for name, number in tables.items())
    shown = (
        SummaryTable("", ("Table", "Questions", "Columns not read"), rows),
        SummaryTable("", ("Group", "Questions"), tuple((name, str(number)) for name, number in groups.items())),
    )
    people, without = len(data.ids), counts["without_pictures"]
    lines = (
        f"{people} people, {len(data.facts)} questions ({without} without a picture), {len(data.digests)} pictures.",
        *(f"{number} questions are marked in the column {name}." for name, number in marked.items()),
    )
    return Summary(counts, shown, lines, data.notices)


_FLAGS = (("private", "private"), ("forget", "marked"))
