"""The clean twin of an attacked row: the row of the same model as it is."""

from collections.abc import Sequence

from ...results.row import Row
from ..facts import MAY_DIFFER, Facts, as_text
from ..lines import made_elsewhere, replicate
from ..score.references import Trio


class Clean:
    """The rows of models as they are, to be found for an attacked row."""

    def __init__(self, rows: Sequence[Row], known: Facts) -> None:
        self._known = known
        self._rows = {self._name(row): row for row in rows}

    def trio(self, attacked: Trio) -> Trio | None:
        """The twins of a method's row and of its references'; None where one is missing."""
        found = [self._rows.get(self._name(row)) for row in attacked.three]
        own, nothing, ideal = found
        return None if own is None or nothing is None or ideal is None else Trio(own, nothing, ideal)

    def _name(self, row: Row) -> tuple[object, ...]:
        """The model, made here or elsewhere, and what it was asked; whatever may differ between machines left out."""
        task = row.task
        options = {name: value for name, value in task.options.items() if name not in MAY_DIFFER}
        asked = task.name, task.version, task.data.fingerprint, as_text(options)
        return self._known.method(row), made_elsewhere(row), replicate(row), *asked
