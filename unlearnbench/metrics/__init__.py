"""Metrics: pure functions of stored samples, so that every score can be computed again."""

from ..contracts.metric import Metric, Record
from .measure import measure
from .scorers import Scorer
from .statistics import MetricValue, summarise

__all__ = ["Metric", "MetricValue", "Record", "Scorer", "measure", "summarise"]
