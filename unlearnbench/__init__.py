"""A benchmark harness for unlearning in vision-language models.

The public Python API; each name is imported when first used, so that ``import unlearnbench`` costs nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and {__name__, f"{__name__}.__main__"} & {*sys.orig_argv}:
    # ``python -m unlearnbench``: the working folder goes before all others, where a file random.py of the user's would
    # take the place of Python's own.
    sys.path.append(sys.path.pop(0))

if TYPE_CHECKING:
    from .contracts import Attack as Attack
    from .contracts import AttackParams as AttackParams
    from .contracts import Continued as Continued
    from .contracts import Evaluation as Evaluation
    from .contracts import Headline as Headline
    from .contracts import Method as Method
    from .contracts import Metric as Metric
    from .contracts import MetricOptions as MetricOptions
    from .contracts import Params as Params
    from .contracts import Record as Record
    from .contracts import Scored as Scored
    from .contracts import Summary as Summary
    from .contracts import SummaryTable as SummaryTable
    from .contracts import Task as Task
    from .contracts.attack import Asking as Asking
    from .contracts.attack import Target as Target
    from .contracts.footprint import NOTHING as NOTHING
    from .contracts.footprint import Counts as Counts
    from .contracts.footprint import Footprint as Footprint
    from .contracts.footprint import Workload as Workload
    from .contracts.metric import record_of as record_of
    from .contracts.request import Request as Request
    from .contracts.sample import Asked as Asked
    from .contracts.sample import Query as Query
    from .contracts.sample import Sample as Sample
    from .contracts.sample import Sampling as Sampling
    from .contracts.sample import Sets as Sets
    from .data.hub import HubDataset as HubDataset
    from .data.pictures import open_picture as open_picture
    from .data.source import Location as Location
    from .data.source import locate as locate
    from .errors import DataError as DataError
    from .errors import ModelError as ModelError
    from .errors import RecordError as RecordError
    from .errors import UnlearnbenchError as UnlearnbenchError
    from .errors import UsageError as UsageError
    from .metrics.choice import chance as chance
    from .metrics.measure import further_versions as further_versions
    from .metrics.measure import measure_sets as measure_sets
    from .metrics.refusals import REFUSALS as REFUSALS
    from .metrics.scorers import STRICT as STRICT
    from .metrics.scorers import Scorer as Scorer
    from .metrics.statistics import MetricValue as MetricValue
    from .metrics.statistics import estimate as estimate
    from .metrics.statistics import proportion as proportion
    from .metrics.statistics import summarise as summarise
    from .models.asking.requests import Ask as Ask
    from .models.asking.requests import Weigh as Weigh
    from .models.asking.requests import WeighTokens as WeighTokens
    from .models.asking.requests import ask as ask
    from .models.asking.values import value_logprobs as value_logprobs
    from .models.contract.edits import Adapter as Adapter
    from .models.contract.edits import Beside as Beside
    from .models.contract.edits import Edit as Edit
    from .models.contract.edits import Trained as Trained
    from .models.contract.edits import Weights as Weights
    from .models.contract.edits import absorb as absorb
    from .models.contract.explanation import Explanation as Explanation
    from .models.contract.gates import Gate as Gate
    from .models.contract.gates import gate_of as gate_of
    from .models.contract.gates import held as held
    from .models.contract.token_facts import TokenFacts as TokenFacts
    from .models.contract.vlm import VLM as VLM
    from .models.contract.vlm import Batch as Batch
    from .models.contract.vlm import PictureCounts as PictureCounts
    from .models.files.card import ModelCard as ModelCard
    from .models.fusion.deep import DeepFusionVLM as DeepFusionVLM
    from .models.fusion.early import EarlyFusionVLM as EarlyFusionVLM
    from .models.pictures.cache import Picture as Picture
    from .models.pictures.traced import Traced as Traced
    from .registry import attack as attack
    from .registry import family as family
    from .registry import load_plugin as load_plugin
    from .registry import method as method
    from .registry import metric as metric
    from .registry import task as task
    from .results.row import Split as Split
    from .runtime.run import Run as Run
    from .training.adaptation import adapted as adapted
    from .training.adaptation import encode_once as encode_once
    from .training.adaptation import project_once as project_once
    from .training.arithmetic import Change as Change
    from .training.base import memorise as memorise
    from .training.loop import Apart as Apart
    from .training.loop import Group as Group
    from .training.loop import Masks as Masks
    from .training.loop import Shuffled as Shuffled
    from .training.loop import fit as fit
    from .training.losses import answer_nll as answer_nll
    from .training.losses import kl_from_reference as kl_from_reference
    from .training.losses import npo as npo
    from .training.losses import simnpo as simnpo
    from .training.paired_method import PairedMethod as PairedMethod
    from .training.params import ENOUGH as ENOUGH
    from .training.params import AscentParams as AscentParams
    from .training.params import BaseParams as BaseParams
    from .training.params import FinetuneParams as FinetuneParams
    from .training.params import LoRAParams as LoRAParams
    from .training.params import Refusals as Refusals
    from .training.params import Stopping as Stopping
    from .training.params import TrainParams as TrainParams
    from .training.params import UnlearnParams as UnlearnParams
    from .training.seeing import see_all as see_all
    from .training.stopping import EarlyStopping as EarlyStopping
    from .training.subset import weights_called as weights_called
    from .training.unlearning import Pairs as Pairs
    from .training.unlearning import Unlearning as Unlearning
    from .training.unlearning import unlearn as unlearn

    __version__: str

_PUBLIC = {
    "absorb": "models.contract.edits",
    "adapted": "training.adaptation",
    "Adapter": "models.contract.edits",
    "Beside": "models.contract.edits",
    "answer_nll": "training.losses",
    "Apart": "training.loop",
    "AscentParams": "training.params",
    "ask": "models.asking.requests",
    "Ask": "models.asking.requests",
    "Asked": "contracts.sample",
    "Asking": "contracts.attack",
    "Attack": "contracts",
    "attack": "registry",
    "AttackParams": "contracts",
    "BaseParams": "training.params",
    "Batch": "models.contract.vlm",
    "chance": "metrics.choice",
    "Change": "training.arithmetic",
    "Continued": "contracts",
    "Counts": "contracts.footprint",
    "DataError": "errors",
    "DeepFusionVLM": "models.fusion.deep",
    "EarlyFusionVLM": "models.fusion.early",
    "EarlyStopping": "training.stopping",
    "estimate": "metrics.statistics",
    "Edit": "models.contract.edits",
    "encode_once": "training.adaptation",
    "ENOUGH": "training.params",
    "Evaluation": "contracts",
    "Explanation": "models.contract.explanation",
    "family": "registry",
    "FinetuneParams": "training.params",
    "fit": "training.loop",
    "Footprint": "contracts.footprint",
    "further_versions": "metrics.measure",
    "Gate": "models.contract.gates",
    "gate_of": "models.contract.gates",
    "Group": "training.loop",
    "Headline": "contracts",
    "held": "models.contract.gates",
    "HubDataset": "data.hub",
    "kl_from_reference": "training.losses",
    "load_plugin": "registry",
    "locate": "data.source",
    "Location": "data.source",
    "LoRAParams": "training.params",
    "Masks": "training.loop",
    "measure_sets": "metrics.measure",
    "memorise": "training.base",
    "Method": "contracts",
    "method": "registry",
    "Metric": "contracts",
    "metric": "registry",
    "MetricOptions": "contracts",
    "MetricValue": "metrics.statistics",
    "ModelCard": "models.files.card",
    "ModelError": "errors",
    "NOTHING": "contracts.footprint",
    "npo": "training.losses",
    "open_picture": "data.pictures",
    "PairedMethod": "training.paired_method",
    "Pairs": "training.unlearning",
    "Params": "contracts",
    "Picture": "models.pictures.cache",
    "PictureCounts": "models.contract.vlm",
    "project_once": "training.adaptation",
    "proportion": "metrics.statistics",
    "Query": "contracts.sample",
    "Record": "contracts",
    "Scored": "contracts",
    "record_of": "contracts.metric",
    "RecordError": "errors",
    "REFUSALS": "metrics.refusals",
    "Refusals": "training.params",
    "Request": "contracts.request",
    "Run": "runtime.run",
    "Sample": "contracts.sample",
    "Sampling": "contracts.sample",
    "Scorer": "metrics.scorers",
    "see_all": "training.seeing",
    "Sets": "contracts.sample",
    "Shuffled": "training.loop",
    "simnpo": "training.losses",
    "Split": "results.row",
    "Stopping": "training.params",
    "STRICT": "metrics.scorers",
    "summarise": "metrics.statistics",
    "Summary": "contracts",
    "SummaryTable": "contracts",
    "Task": "contracts",
    "Target": "contracts.attack",
    "task": "registry",
    "TokenFacts": "models.contract.token_facts",
    "Traced": "models.pictures.traced",
    "Trained": "models.contract.edits",
    "TrainParams": "training.params",
    "unlearn": "training.unlearning",
    "UnlearnbenchError": "errors",
    "Unlearning": "training.unlearning",
    "UnlearnParams": "training.params",
    "UsageError": "errors",
    "value_logprobs": "models.asking.values",
    "VLM": "models.contract.vlm",
    "Weigh": "models.asking.requests",
    "WeighTokens": "models.asking.requests",
    "Weights": "models.contract.edits",
    "weights_called": "training.subset",
    "Workload": "contracts.footprint",
}
"""Name to the submodule that defines it. No submodule may bear one of these names: it would hide what it names."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name in _PUBLIC:
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, "__version__"])
