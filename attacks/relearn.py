"""Relearning: what comes back of the forgotten when somebody finetunes an unlearned model for a moment on little?"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from unlearnbench import (
    Asking,
    Attack,
    AttackParams,
    FinetuneParams,
    LoRAParams,
    Shuffled,
    UsageError,
    attack,
    summarise,
)
from unlearnbench.contracts.sample import Sample, clusters

if TYPE_CHECKING:
    from unlearnbench import VLM, Counts, Edit, Footprint, MetricValue, Run, Sets, Target, Task, Workload
    from unlearnbench.contracts.attack import Records, Values

CONTROL = "plasticity"
"""The variant that has learned people whom nobody has seen, instead of what the attacker has."""

STRANGERS = "strangers"
"""What records of these people say that they are of."""
