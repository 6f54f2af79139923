"""Metrics: pure functions of stored samples, so that every score can be computed again."""

from .metric import Metric, Prediction, Record, measure
from .scorers import Scorer, get_scorer
from .statistics import MetricValue, summarise

__all__ = ["Metric", "MetricValue", "Prediction", "Record", "Scorer", "get_scorer", "measure", "summarise"]
