"""What a plug-in fulfils: a `Method` unlearns, a `Task` evaluates; what they take and return.

The model's side of the contract is `unlearnbench.models.contract`.
"""

from .method import Method
from .params import Continued, Params
from .task import EXAMPLE, Evaluation, Headline, Task, TaskData

__all__ = ["EXAMPLE", "Continued", "Evaluation", "Headline", "Method", "Params", "Task", "TaskData"]
