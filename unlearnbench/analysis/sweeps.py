"""Sweeps: lines of a method that differ in one number alone, such as a rate or how many people are forgotten."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ..results.row import Split
from .comparison import Comparison
from .facts import SPLIT, as_text
from .lines import Line

FEWEST = 3
"""Values that a sweep has at least."""

PEOPLE = "people to forget"
"""The name under which the number of the forgotten is swept."""


@dataclass(frozen=True)
class Sweep:
    """The places of the lines of ``method`` by their value of the number ``name``.

    A value that two lines have, as two sets of equally many people do, is ``left_out``: neither stands for the other.
    """

    method: str
    name: str
    places: dict[float, int]
    left_out: tuple[float, ...] = ()

    def besides(self, comparison: Comparison) -> list[str]:
        """``NAME=VALUE`` of what else tells these lines from the others of their method."""
        fixed = comparison.settings(comparison.lines[next(iter(self.places.values()))])
        swept = (f"{self.name}=", f"{self.name.partition('.')[0]}=", *([f"{SPLIT}="] if self.name == PEOPLE else []))
        return [text for text in fixed if not text.startswith(swept)]


def sweeps(comparison: Comparison) -> list[Sweep]:
    """For each method and number in which at least `FEWEST` otherwise equal lines differ, the longest such sweep."""
    families: dict[str, dict[float, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, line in enumerate(comparison.lines):
        facts = _facts(line)
        for name, value in facts.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                # Who is forgotten differs with how many are, and only then may it.
                fixed = {SPLIT: None} if name == PEOPLE else {}
                families[as_text([line.method, name, facts | fixed | {name: None}])][float(value)].append(place)
    found: dict[tuple[str, str], Sweep] = {}
    for key, by_value in families.items():
        method, name, _ = json.loads(key)
        places = {value: of[0] for value, of in by_value.items() if len(of) == 1}
        longest = found.get((method, name))
        if len(places) >= FEWEST and (longest is None or len(places) > len(longest.places)):
            found[method, name] = Sweep(method, name, places, tuple(sorted({*by_value} - {*places})))
    return [*found.values()]


def _facts(line: Line) -> dict[str, Any]:
    """A line's facts with the number of the forgotten as a number, and nested parameters by dotted names."""
    facts: dict[str, Any] = {}
    for name, value in line.facts.items():
        if isinstance(value, dict):
            facts |= {f"{name}.{inner}": each for inner, each in value.items()}
        elif isinstance(value, Split):
            facts |= {SPLIT: value, "people in all": as_text(value.of)}
            facts |= {} if value.identities is None else {PEOPLE: value.identities}
        else:
            facts[name] = value
    return facts
