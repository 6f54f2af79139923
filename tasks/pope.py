"""POPE: is this object in the picture? Random, popular and adversarial negatives (Li et al. 2023, arXiv:2305.10355)."""

from unlearnbench import Headline, task
from unlearnbench.data.yes_no import read_pope
from unlearnbench.metrics.yes_no import pope

from .yes_no import YesNoTask


@task("pope", reference="arXiv:2305.10355")
class POPETask(YesNoTask):
    """Object hallucination by yes/no questions: whether unlearning makes the model see things."""

    headlines = (Headline("General", "pope.accuracy", "POPE"),)
    read = staticmethod(read_pope)
    score = staticmethod(pope)
