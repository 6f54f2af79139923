"""What is in a dataset, counted: questions and groups, the sets of every forget set, and what a user should know."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearnbench import UnlearnbenchError
from unlearnbench.contracts import Summary, SummaryTable

from ..facts.sets import HELD_OUT, VALIDATION, Fact
from .people import Dataset, by_default, samples, split_of, split_sets
from .reader import read
from .taxonomy import PRIVATE, QuestionGroup, told

SHARES = (0.05, 0.1, 0.15, 0.2)
"""The forget sets that are counted, as shares of the people: of FIUBench's 400 the paper's 20, 40, 60 and 80."""

PROTOCOLS = {
    "default": (HELD_OUT, VALIDATION),
    "paper": (0.0, 0.0),
}
"""The shares of people who are held out, and who are for validation, in each protocol."""


def summary(folder: Path) -> Summary:
    """What `unlearnbench data summary` says of a folder."""
    dataset = read(folder)
    counts = counted(dataset)
    lines = [f"--forget {each['people']}: {each['impossible']}" for each in counts["forget"] if "impossible" in each]
    if dataset.is_fiubench:
        lines.append("These are FIUBench's people: a number stands for rows of the data, whatever split.json says.")
    lines += [_ABOUT, *(f"left out: {what}: {number}" for what, number in dataset.left_out)]
    said = tuple(remark for remark in remarks(dataset) if not remark.startswith("left out"))
    return Summary(counts, (*_tables(counts, f"{folder} (split.json: {dataset.variant})"),), tuple(lines), said)


_ABOUT = """\
Held out are people whom the base knows and no method sees, validation those whom early stopping looks at. Paraphrased
and perturbed count the forget questions that have such variants. Under --set fiubench.protocol=paper nobody is kept
apart, and early stopping looks at the forget set alone."""


def _tables(counts: dict[str, Any], title: str) -> Iterator[SummaryTable]:
    """People and their questions, groups of questions, and what every number to forget leaves under each protocol."""
    parts = {"all": counts} | counts["splits"]
    numbers = ("identities", "questions", "private")
    rows = tuple((name, *(str(of[each]) for each in numbers)) for name, of in parts.items())
    yield SummaryTable(title, ("Part", "Identities", "Questions", "Private"), rows)
    groups = tuple((name, str(number)) for name, number in counts["groups"].items())
    yield SummaryTable("", ("Group of questions", "Questions"), groups)
    sizes, variants = (
        ("forget", "nonprivate", "retain", "validation", "held_out"),
        ("with_paraphrases", "with_perturbed_answers"),
    )
    sets = tuple(
        (
            *(str(each["people"]), each["name"], protocol),
            *(f"{each[protocol][name]:,}" for name in sizes),
            *(f"{each[name]:,}" for name in variants),
        )
        for each in counts["forget"]
        if "impossible" not in each
        for protocol in PROTOCOLS
    )
    headings = ("forget", "non-\npriv.", "retain", "valid-\nation", "held\nout", "para-\nphr.", "per-\nturb.")
    if sets:
        yield SummaryTable("Questions by --forget NUMBER and protocol", ("number", "who", "sets", *headings), sets, 3)


def counted(dataset: Dataset) -> dict[str, Any]:
    """Counts of a dataset: identities, questions, groups and how they are known, forget sets, what is left out."""
    asked = samples(dataset.identities)
    groups = Counter(sample.question.group for sample in asked)
    told_by = Counter(sample.question.told_by for sample in asked)
    of_identity: dict[str, list[Fact]] = {}
    for sample in asked:
        of_identity.setdefault(sample.cluster, []).append(sample)
    return {
        "identities": len(dataset.identities),
        "questions": len(asked),
        "groups": {group.value: groups[group] for group in QuestionGroup},
        "private": _private(asked),
        "strangers": len(dataset.strangers),
        "acquaintances": len(dataset.acquaintances),
        "splits": {
            name: {
                "identities": len(ids),
                "questions": sum(len(of_identity[unique_id]) for unique_id in ids),
                "private": sum(_private(of_identity[unique_id]) for unique_id in ids),
            }
            for name, ids in dataset.splits.items()
        },
        "fiubench": dataset.is_fiubench,
        "forget": [_sizes(dataset, number) for number in numbers(dataset)],
        "groups_told_by": {how: told_by[how] for how in ("data", "wording", "rule")},
        "people_sharing_a_picture": [list(ids) for ids in dataset.sharing],
        "left_out": dict(dataset.left_out)
        | ({"questions about strangers in no known wording": len(dataset.unknown)} if dataset.unknown else {}),
    }


def numbers(dataset: Dataset) -> list[int]:
    """How many people a summary lets be forgotten."""
    people = len(dataset.identities)
    wanted = {round(share * people) for share in SHARES} | {by_default(dataset)}
    return sorted(number for number in wanted if 1 <= number < people)


def remarks(dataset: Dataset) -> Iterator[str]:
    """What whoever uses these data should know, a line each."""
    asked = samples(dataset.identities)
    guessed = [sample for sample in asked if sample.question.told_by == "rule"]
    if guessed:
        groups = Counter(str(sample.question.group) for sample in guessed)
        yield (
            f"of {len(asked)} questions {len(guessed)} are worded unlike FIUBench's, so rules guessed their groups "
            f"({', '.join(f'{number} {group}' for group, number in sorted(groups.items()))}), for instance "
            f'{_quoted(guessed[0])}: where one is wrong, give the question its "group"'
        )
    unlike = [sample for sample in asked if _unlike_wording(sample)]
    if unlike:
        yield (
            f"of {len(asked)} questions {len(unlike)} have a group in the data that is not that of their wording, "
            f"for instance {_quoted(unlike[0])}: the data's holds"
        )
    if dataset.sharing:
        people = sum(map(len, dataset.sharing))
        yield (
            f"{people} people share {len(dataset.sharing)} picture{'s' * (len(dataset.sharing) > 1)} "
            f"({', '.join(dataset.sharing[0][:3])} for instance have the same): no model can tell whom a question is "
            "about; they can only be forgotten together"
        )
    if dataset.unknown:
        number = len(dataset.unknown)
        yield (
            f"{number} question{'s' * (number > 1)} about strangers {'are' if number > 1 else 'is'} left out, in no "
            f"wording of FIUBench's, {'; '.join(dataset.unknown[:3])}{' for instance' * (number > 3)}: give such a "
            'question its "group"'
        )
    if dataset.left_out and not dataset.is_fiubench:
        yield f"left out: {', '.join(f'{what}: {number}' for what, number in dataset.left_out)}"


def _sizes(dataset: Dataset, number: int) -> dict[str, Any]:
    """What so many forgotten people are called, and the sizes of all sets under each protocol."""
    try:
        sets = {name: split_sets(dataset, number, PRIVATE, *shares) for name, shares in PROTOCOLS.items()}
    except UnlearnbenchError as error:
        return {"people": number, "impossible": str(error)}
    forget = sets["paper"].forget
    return {
        "people": number,
        "name": split_of(dataset, sets["paper"], PRIVATE).name,
        "with_paraphrases": sum(bool(sample.question.paraphrased_questions) for sample in forget),
        "with_perturbed_answers": sum(bool(sample.question.perturbed_answers) for sample in forget),
        **{name: each.sizes | {"digest": split_of(dataset, each, PRIVATE).digest} for name, each in sets.items()},
    }


def _private(asked: list[Fact] | tuple[Fact, ...]) -> int:
    return sum(sample.question.group in PRIVATE for sample in asked)


def _unlike_wording(sample: Fact) -> bool:
    """Whether the data say another group than FIUBench's wording does."""
    found = told(sample.text) if sample.question.told_by == "data" else None
    return found is not None and found.known and found.group != sample.question.group


def _quoted(sample: Fact) -> str:
    return f"question {sample.question.index} of {sample.cluster}, {sample.text!r} -> {sample.question.group}"
