"""What checks say of the metrics that somebody ranks by: those that failed, and models of which there is no check."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .result import MetricsCheck


@dataclass(frozen=True)
class RankedBy:
    """The metrics that rank methods on a model, and the only data and weights that count: any where none is named."""

    model: str
    task: str
    metrics: tuple[str, ...]
    fingerprints: Collection[str] = ()
    weights: str | None = None

    def is_of(self, check: MetricsCheck) -> bool:
        """Whether a check was made on this very model, task and data."""
        data = not self.fingerprints or check.data.fingerprint in self.fingerprints
        weights = self.weights is None or check.model.weights_digest == self.weights
        return (check.model.name, check.task.name) == (self.model, self.task) and data and weights

    def doubts(self, checks: Sequence[MetricsCheck]) -> Iterator[str]:
        """What speaks against each of the metrics; that nobody has checked them, where there is no check."""
        own = [check for check in checks if self.is_of(check)]
        if not own:
            yield f"whether these metrics tell who knows was not checked on {self.model} (unlearnbench metrics-check)"
        for check in own:
            failed = {name: why for name in self.metrics if (why := check.against(name))}
            if not failed:
                yield f"all {len(self.metrics)} metrics tell models that know from models that do not (metrics-check)"
            for name, why in failed.items():
                yield f"{name} ranks here and does not pass the check of metrics: {why}"
