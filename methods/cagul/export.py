"""A guard and its frozen model as a class of `transformers`: the files, weights and settings that make it one."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from PIL import Image

from unlearnbench import VLM, Asked, Beside, ModelError, UsageError
from unlearnbench.models.contract import attention

from . import guarded, modules

if TYPE_CHECKING:
    from .edit import Guard

FUSION = {
    "qwen2_5_vl": "EarlyFusion", "qwen3_vl": "StreamedFusion", "llava": "EarlyFusion", "gemma3": "JoinedFusion",
    "internvl": "JoinedFusion", "mllama": "DeepFusion",
}  # fmt: skip
"""The families whose models have been exported and compared, with what of `guarded` stands before their class."""

SETTINGS = ("k", "layer_reduce", "discriminator", "discriminator_channels", "discriminator_head", "threshold")
"""The parameters that a trained guard works by."""

QUESTIONS = ("Who is this?", "Name two of the colours, please")
"""Any: what stands around a question must be the same around both."""

MODELING = '''"""{base} behind CAGUL's guard (arXiv:2510.07567), which replaces visual tokens of pictures that it flags.

Made by `unlearnbench export`; load it with AutoModelForImageTextToText.from_pretrained(..., trust_remote_code=True).
"""

from functools import wraps

from transformers import {base}, {config}

from .guarded import {fusion}


class GuardedConfig({config}):
    """What the frozen model's configuration says, and the guard's settings, ``cagul``."""

    model_type = "{kind}"


class GuardedModel({fusion}, {base}):
    """The frozen model, seeing through the guard."""

    config_class = GuardedConfig

    @wraps({base}.forward)
    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs)
'''


def beside(guard: "Guard", model: VLM) -> Beside:
    """What makes the model that ``guard`` is on one of `transformers` alone; raises `UsageError` where it cannot be."""
    params, kind = guard.params, type(model.model).__name__
    for name in ("selection", "encoder"):
        if (chosen := getattr(params, name)) in ("random", "noise"):
            raise UsageError(
                f"cagul with {name}={chosen} draws by the names of pictures' files, which an exported model does not "
                "know: it is an ablation, for measuring alone"
            )
    if model.name not in FUSION:
        raise UsageError(
            f"cagul on a model of the family {model.name} cannot be exported; it can on models of {', '.join(FUSION)}"
        )
    config, name = type(model.model.config).__name__, f"cagul_{model.name}"
    modeling = MODELING.format(base=kind, config=config, fusion=FUSION[model.name], kind=name)
    code = {"modeling_cagul.py": modeling} | {
        f"{each.__name__.rpartition('.')[2]}.py": _alone(Path(str(each.__file__)))
        for each in (guarded, modules, attention)
    }
    settings = params.model_dump(mode="json", include={*SETTINGS}) | {"marks": marks(model)}
    return Beside(
        code=code,
        tensors={
            f"guard.{part}.{key}": tensor.detach().cpu()
            for part, network in guard.modules.items()
            for key, tensor in network.state_dict().items()
        },
        config={
            "model_type": name,
            "architectures": ["GuardedModel"],
            "auto_map": {
                "AutoConfig": "modeling_cagul.GuardedConfig",
                "AutoModelForImageTextToText": "modeling_cagul.GuardedModel",
            },
            "cagul": settings,
        },
        variant=guarded.VARIANT,
    )


def _alone(file: Path) -> str:
    """A file's text as it stands in a folder with all that it imports of ours."""
    return file.read_text(encoding="utf-8").replace(f"from {attention.__name__} import", "from .attention import")


def marks(model: VLM) -> dict[str, Any]:
    """The token ids that stand between a prompt's last picture and its question, and those behind the question.

    Raises `ModelError` where they are not the same around every question, as where text around it grows into it.
    """
    found = []
    with TemporaryDirectory() as folder:
        picture = Path(folder) / "blank.png"
        Image.new("RGB", (64, 64)).save(picture)
        for question in QUESTIONS:
            batch = model.prepare([Asked(question, (picture,))])
            ids, its = batch.input_ids[0].tolist(), batch.question_mask[0].nonzero()[:, 0].tolist()
            last = int(batch.image_mask[0].nonzero()[-1])
            found.append({"before": ids[last + 1 : its[0]], "behind": ids[its[-1] + 1 :]})
        model.let_go([picture])
    if found[0] != found[1] or not found[0]["behind"]:
        raise ModelError(
            "cagul cannot be exported with this model: its chat template does not set a question apart by tokens of "
            "its own, by which an exported model would find it"
        )
    return found[0]
