"""When raising a loss is enough: bounds on what is forgotten and lost, and what strangers tell of the first."""

from .bounds import EarlyStopping, limit, spread
from .strangers import unseen_loss, within_reach

__all__ = ["EarlyStopping", "limit", "spread", "unseen_loss", "within_reach"]
