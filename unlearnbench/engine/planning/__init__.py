"""From cells to plans: everything that determines a cell's result, hashed, before anything heavy is imported."""

from .planner import plan as plan
from .plans import Aimed as Aimed
from .plans import Chosen as Chosen
from .plans import Plan as Plan
from .plans import Source as Source
