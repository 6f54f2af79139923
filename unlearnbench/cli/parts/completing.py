"""What the shell completes: the names that ``unlearnbench list`` shows, in comma lists too.."""

from collections.abc import Callable, Iterable

from ...registry import REGISTRIES

LEADERBOARDS = "leaderboards"
"""A kind of thing that `list` names and `show` shows, and that is no plug-in."""


def kinds() -> list[str]:
    """What `list` lists."""
    return [*REGISTRIES, LEADERBOARDS]


def known(kind: str) -> list[str]:
    """Every name of one kind."""
    if kind != LEADERBOARDS:
        return REGISTRIES[kind].names()
    from ...leaderboard.definition import known as boards

    return [*boards()]


def names(*wanted: str) -> Callable[[str], list[str]]:
    """What completes an option or argument of these kinds (all, if none is given), a name or a list with commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",")
        return [f"{before}{comma}{each}" for each in _sorted(wanted or kinds()) if each.startswith(begun)]

    return complete


def kind_names(incomplete: str) -> list[str]:
    """What completes a kind."""
    return [kind for kind in kinds() if kind.startswith(incomplete)]


def _sorted(wanted: Iterable[str]) -> list[str]:
    return sorted({name for kind in wanted for name in known(kind)})
