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
    from .contracts import Continued as Continued
    from .contracts import Evaluation as Evaluation
    from .contracts import Headline as Headline
    from .contracts import Method as Method
    from .contracts import Metric as Metric
    from .contracts import MetricOptions as MetricOptions
    from .contracts import Params as Params
    from .contracts import Record as Record
    from .contracts import Task as Task
    from .contracts.sample import Asked as Asked
    from .contracts.sample import Sample as Sample
    from .contracts.sample import Sampling as Sampling
    from .contracts.sample import Sets as Sets
    from .models.asking.requests import Ask as Ask
    from .models.asking.requests import Weigh as Weigh
    from .models.asking.requests import ask as ask
    from .models.contract.vlm import VLM as VLM
    from .models.fusion.deep import DeepFusionVLM as DeepFusionVLM
    from .models.fusion.early import EarlyFusionVLM as EarlyFusionVLM
    from .registry import family as family
    from .registry import method as method
    from .registry import metric as metric
    from .registry import task as task
    from .results.row import Split as Split
    from .training.paired_method import PairedMethod as PairedMethod

    __version__: str

_PUBLIC = {
    "Continued": "contracts",
    "DeepFusionVLM": "models.fusion.deep",
    "EarlyFusionVLM": "models.fusion.early",
    "Ask": "models.asking.requests",
    "Asked": "contracts.sample",
    "Evaluation": "contracts",
    "Headline": "contracts",
    "Method": "contracts",
    "Metric": "contracts",
    "MetricOptions": "contracts",
    "PairedMethod": "training.paired_method",
    "Params": "contracts",
    "Record": "contracts",
    "Sample": "contracts.sample",
    "Sampling": "contracts.sample",
    "Sets": "contracts.sample",
    "Split": "results.row",
    "Task": "contracts",
    "Weigh": "models.asking.requests",
    "ask": "models.asking.requests",
    "VLM": "models.contract.vlm",
    "family": "registry",
    "method": "registry",
    "metric": "registry",
    "task": "registry",
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
