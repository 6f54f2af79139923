"""What the samples of attacked rows come to: metrics, values of single questions, and the variants they are of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...analysis.attacks.outcome import attack_of, by_variant
from ...contracts import Evaluation, Task
from ...contracts.attack import of_variant
from ...metrics.statistics import MetricValue
from ...results.row import Row


def name_of(attack: str, variant: str, metric: str) -> str:
    """What a metric of one variant of an attack is called among a method's values."""
    return f"{attack} ({variant}): {metric}" if variant else f"{attack}: {metric}"


def measured_of(row: Row, task: Task, records: Sequence[Any]) -> Evaluation:
    """What a row's records come to, by its task, or by the attack on its model: of each variant by itself."""
    if row.attack is None:
        return task.measured(records)
    attack, variants = attack_of(row), by_variant(records)
    metrics: dict[str, MetricValue] = {}
    for variant, own in variants.items():
        metrics |= {of_variant(name, variant): value for name, value in attack.measured(task, own).items()}
    return Evaluation([*records], metrics | attack.overall(task, variants))


def attacked_values(row: Row, task: Task, records: Sequence[Any]) -> dict[str, Mapping[str, Sequence[float]]]:
    """The values of single questions by metric and variant, under their names on a leaderboard."""
    attack = attack_of(row)
    return {
        name_of(attack.name, variant, metric): of
        for variant, own in by_variant(records).items()
        for metric, of in attack.values(task, own).items()
    }


def untold_variants(row: Row, records: Sequence[Any]) -> Iterator[str]:
    """Whether a row names all variants that its samples are of: what it hides would be looked at by nobody."""
    if row.attack is not None:
        for name in by_variant(records).keys() - {*row.attack.variants}:
            yield f"attack.variants does not name {name[:40]!r}, of which there are samples"
