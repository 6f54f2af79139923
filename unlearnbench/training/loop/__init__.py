"""The training loop: every stage and method trains through `fit`."""

from .gradients import Apart, GradientHook, Masks, Parts
from .terms import Batches, Group, Loss, Outcome, Shuffled, Stop, drawn
from .training import fit

__all__ = [
    "Apart",
    "Batches",
    "GradientHook",
    "Group",
    "Loss",
    "Masks",
    "Outcome",
    "Parts",
    "Shuffled",
    "Stop",
    "drawn",
    "fit",
]
