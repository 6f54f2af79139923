"""Samples that were read a moment ago: of many methods the same references stand beside each."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .row import Row

Records = list[dict[str, Any]]

REMEMBERED = 24
"""Of how many rows: an attack's on a method, on both references, and without it, of four seeds."""


def remembering(read: Callable[[Row], Records]) -> Callable[[Row], Records]:
    """The same, reading a row's samples once as long as they are among the last `REMEMBERED`."""
    last: OrderedDict[str, Records] = OrderedDict()

    def records(row: Row) -> Records:
        found = last.pop(row.row_id, None)
        last[row.row_id] = read(row) if found is None else found
        if len(last) > REMEMBERED:
            last.popitem(last=False)
        return last[row.row_id]

    return records
