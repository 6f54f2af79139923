"""MME: pairs of yes/no questions on one picture, one of each answer (Fu et al. 2023, arXiv:2306.13394)."""

from unlearnbench import Headline, task
from unlearnbench.data.yes_no import read_mme
from unlearnbench.metrics.yes_no import mme

from .yes_no import YesNoTask


@task("mme", reference="arXiv:2306.13394")
class MMETask(YesNoTask):
    """Perception and cognition by yes/no questions: what unlearning does to the model's other skills."""

    headlines = (Headline("General", "mme.accuracy", "MME"),)
    read = staticmethod(read_mme)
    score = staticmethod(mme)
