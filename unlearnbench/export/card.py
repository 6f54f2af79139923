"""An exported model's card: what it was made of and how, how it scored, and what it does not promise."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis.numbers import amount, score
from ..registry import methods, tasks
from ..results.row import MadeElsewhere, Row, Score
from .paths import public

if TYPE_CHECKING:
    from .folder import Kind
    from .kept import Kept

TEMPLATE = Path(__file__).parent / "templates" / "README.md.j2"


@dataclass(frozen=True)
class Number:
    """A score as the card shows it."""

    task: str
    name: str
    value: str
    interval: str
    n: int
    better: str


def card_text(kept: "Kept", kind: "Kind", rows: Sequence[Row], name: str, *, trust: bool) -> str:
    """The ``README.md`` of a cell's model that ``kind`` of files was written of and that is called ``name``.

    ``rows`` are all that evaluated the model, one a task; ``trust`` says that the processor's class is in the folder.
    """
    from huggingface_hub import ModelCard, ModelCardData

    row, hub = kept.row, kept.from_hub
    method = None if row.method.elsewhere else methods.get(row.method.name)
    data = ModelCardData(
        base_model=kept.card.source if hub else None,
        library_name="peft" if kind == "adapter" else "transformers",
        pipeline_tag="image-text-to-text",
        tags=["machine-unlearning", "unlearnbench", row.method.name],
    )
    card = ModelCard.from_template(
        data,
        template_str=TEMPLATE.read_text(encoding="utf-8"),
        name=name,
        kind=kind,
        row=row,
        about=(method.__doc__ or "").strip().partition("\n")[0] if method else "code other than unlearnbench's",
        reference=method.reference if method else None,
        params=_listed(row.method.params),
        base=_base(row),
        made=public(row.method.elsewhere.source) if row.method.elsewhere else "",
        source=kept.card.source if hub else public(row.model.name),
        base_on_hub=kept.base_on_hub,
        numbers=[*_numbers(rows)],
        trained=None if row.cost.trainable_parameters is None else amount(row.cost.trainable_parameters),
        half=row.model.dtype != "float32",
        trust=trust,
    )
    return str(card).rstrip() + "\n"


def _base(row: Row) -> str:
    """What the model was that the method, or those before it, started from; empty where it is the pretrained one."""
    if not row.base:
        return ""
    if brought := row.base.get("elsewhere"):
        told = MadeElsewhere.model_validate(brought)
        return f"made elsewhere: `{public(told.source)}`, weights `{told.digest[:16]}`"
    return f"{_listed(row.base.get('params', {}))}; seed {row.base_seed}"


def _listed(params: dict[str, object]) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in params.items())


def _numbers(rows: Sequence[Row]) -> Iterator[Number]:
    """What tables show of each task, in their order."""
    for row in rows:
        kind = tasks.get(row.task.name)
        task = kind(kind.Options.model_validate(row.task.options))
        for column in (*task.headlines, *task.details):
            if (found := row.metrics.get(column.metric)) and found.value is not None:
                yield Number(row.task.name, f"{column.group} {column.label}", *_shown(found))


def _shown(found: Score) -> tuple[str, str, int, str]:
    low, high = found.ci_low, found.ci_high
    between = f"{score(low)} to {score(high)}" if low is not None and high is not None else ""
    better = {True: "higher", False: "lower", None: ""}[found.higher_is_better]
    return score(found.value or 0.0), between, found.n, better
