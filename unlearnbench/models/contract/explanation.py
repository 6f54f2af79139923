"""What an edit of visual tokens says that it did to a picture: what `ask` prints and the report draws."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic reads these, and before Python 3.12 cannot read typing's own

from ...errors import PluginError


class Explanation(TypedDict):
    """Of one picture, whose visual tokens lie on a grid as `VLM.layout` has them."""

    grid: Sequence[int]
    """Rows and columns."""
    flagged: bool
    """Whether the edit changes this picture: a gate's answer, true where there is no gate."""
    chosen: Sequence[int]
    """The tokens that are replaced, counted from 0 in reading order; empty where it is not flagged."""
    scores: NotRequired[Sequence[float] | None]
    """A number of each place of the grid, in reading order, by which the choice was made."""
    covers: NotRequired[Sequence[float]]
    """How much of the grid's height and width the picture takes, from its upper left corner; all if not said."""


def checked(said: Any, pictures: int, whose: str) -> list[Explanation]:
    """What ``whose`` edit has said of so many pictures; raises `PluginError` for what is no `Explanation` of each."""
    try:
        _kind().validate_python(said)
        fault = f"{len(said)} for {pictures} pictures" if len(said) != pictures else ""
        fault = fault or next((found for each in said if (found := _outside(each))), "")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if fault:
        raise PluginError(
            f"what {whose} explains of its pictures is no list of unlearnbench.Explanation, one a picture ({fault}): "
            "give grid, flagged and chosen of each"
        )
    return list(said)


@cache
def _kind() -> TypeAdapter[list[Explanation]]:
    return TypeAdapter(list[Explanation])


def _outside(told: Explanation) -> str:
    """What is not of the grid."""
    if len(told["grid"]) != 2 or min(told["grid"]) < 1:
        return f"grid is {[*told['grid']]}, and should be rows and columns"
    size = told["grid"][0] * told["grid"][1]
    strange = next((token for token in told["chosen"] if not 0 <= token < size), None)
    return "" if strange is None else f"token {strange} is outside of {size}"
