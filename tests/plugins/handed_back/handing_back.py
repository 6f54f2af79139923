"""A method and a task that do what a test tells them, and the rows that come of it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unlearnbench import Edit, Evaluation, Location, Method, Task, method, summarise, task
from unlearnbench.config import RunConfig
from unlearnbench.engine.artefacts import Store
from unlearnbench.engine.grid import run as run_grid
from unlearnbench.engine.planning import plan
from unlearnbench.results.row import Row
from unlearnbench.results.store import RowStore
from unlearnbench.runtime.run import Silent

WORK: dict[str, Callable[[Any, Any], Any]] = {}
"""What the method and the task below do: of (model, run), and of (records, run)."""


class Marked(Edit):
    """An edit of another kind than weights; ``apply`` does what it is told."""

    does: Callable[[Any], None] = staticmethod(lambda model: None)

    def save(self, folder: Path) -> None:
        (folder / "marked.json").write_text("{}")

    @classmethod
    def load(cls, folder: Path, model: Any) -> "Marked":
        return cls()

    def apply(self, model: Any) -> None:
        type(self).does(model)


@method("handed-back")
class HandedBack(Method):
    """Does what `WORK` says."""

    start = "pretrained"
    edit: type[Edit] | None = None

    def unlearn(self, model: Any, sets: Any, run: Any) -> Any:
        return WORK["method"](model, run)

    @classmethod
    def edit_class(cls) -> type[Edit]:
        return cls.edit or super().edit_class()


@method("handed-back-reference")
class Reference(HandedBack):
    """The same as a reference."""

    role = "reference"


@task("handed-sizes")
class Sizes(Task):
    """Looks at the sum of all weights, which costs nothing."""

    def load(self, source: str, forget: Any, seed: int = 0) -> Any:
        return SimpleNamespace(fingerprint="sizes", location=Location(Path.cwd(), "sizes", None), split=None)

    def evaluate(self, model: Any, data: Any, run: Any) -> Any:
        total = sum(float(p.double().sum()) for p in model.model.parameters())
        return WORK["task"]([{"id": "all", "total": total}], run)

    def measured(self, records: Any) -> Evaluation:
        values = [record["total"] for record in records]
        return Evaluation(records, {"sizes.total": summarise(values, clusters=None, seed=0, higher_is_better=None)})


@pytest.fixture
def computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Row]:
    """The row of a method that does this and a task that returns that."""
    monkeypatch.setattr(HandedBack, "edit", None)
    monkeypatch.setattr(Marked, "does", staticmethod(lambda model: None))

    def compute(
        unlearn: Callable[[Any, Any], Any],
        evaluate: Callable[[Any, Any], Any] | None = None,
        name: str = "handed-back",
    ) -> Row:
        looking = Sizes(Sizes.Options())
        monkeypatch.setitem(WORK, "method", unlearn)
        monkeypatch.setitem(WORK, "task", evaluate or (lambda records, run: looking.measured(records)))
        store = Store(tmp_path / "store")
        config = RunConfig(methods=(name,), models=("tiny-qwen2.5-vl",), tasks=("handed-sizes",), device="cpu")
        plans = plan(config.model_copy(update={"data_of": {"handed-sizes": "embedded"}}), store)
        return next(iter(run_grid(plans, RowStore(tmp_path / "results"), store, Silent()))).row

    return compute


def why(row: Row) -> str:
    """The error of a row that has one."""
    assert (row.status, row.metrics) == ("error", {})
    assert row.error is not None
    assert row.error.type == "PluginError"
    return row.error.message


def leave_alone(model: Any, run: Any) -> None:
    """Look, train on a copy, and leave settings as they were."""
    with model.training(model.language_parameters()):
        pass
    handle = model.language_model().register_forward_hook(lambda *_: None)
    handle.remove()
