"""What a plug-in fulfils: a `Method` unlearns, a `Task` evaluates, an `Attack` tries, a `Metric` scores.

The model's side of the contract is `unlearnbench.models.contract`.
"""

from .attack import Attack, AttackParams
from .method import Method
from .metric import Metric, Record
from .params import Continued, MetricOptions, Params
from .scored import Scored
from .task import EXAMPLE, Evaluation, Headline, Summary, SummaryTable, Task, TaskData

__all__ = [
    "EXAMPLE",
    "Attack",
    "AttackParams",
    "Continued",
    "Evaluation",
    "Headline",
    "Method",
    "Metric",
    "MetricOptions",
    "Params",
    "Record",
    "Scored",
    "Summary",
    "SummaryTable",
    "Task",
    "TaskData",
]
