"""Pictures through the vision tower: as `transformers` does it and as the package does, beside the operations' floor.

``python -m benchmarks.stages.seeing [--models NAME..] [--out FILE.json]``. On a GPU: the shapes of Qwen2.5-VL-7B and
Llama-3.2-11B-Vision with random weights and pictures of 1024 pixels, meant to end within 90 seconds on 80 GB. On a CPU:
the embedded models, and the tower of Qwen2.5-VL-7B with few and narrow layers on pictures of 1024 pixels; results are
asserted to be equal. All ways use the same weights in one process, in turns. What a device is told to do is counted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu import FACE, LARGE, build
from benchmarks.speed.measure import Clock, Way, compare, product_rate
from benchmarks.stages.measure import report
from unlearnbench.contracts.sample import Sets
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.pictures.runs import RUNS, Patches

NARROW = "narrow-qwen2.5-vl-7b"
"""Eight layers of the tower, a quarter as wide; a small language model, which sees nothing of it."""
MOST = {NARROW: 2, **dict.fromkeys(LARGE, 8)}
"""Pictures of models that take long; all that there are of others."""
REPEATS = 3
PRECISION = 1e-5
"""By which visual tokens may differ in float32, as a part of the largest number in them."""


def measured(name: str, device: str, sets: Sets) -> dict[str, Any]:
    """One model's pictures a second, from files and in the tower alone; and steps of training small towers."""
    model = narrow() if name == NARROW else build(name, device)
    paths = [*dict.fromkeys(path for sample in sets.all for path in sample.images)]
    paths = paths[: MOST.get(name)]
    for path in paths if name == NARROW else ():
        with Image.open(path) as image:
            grown = image.convert("RGB").resize((FACE, FACE))
        grown.save(path)
    rate = product_rate(model.device, model.dtype)
    found: dict[str, Any] = {"pictures": len(paths), "visual_tokens": model.see(paths[0]).count}
    found["operations"] = {way: counted(model, see, paths[0]) for way, see in (("plain", plain), ("own", own))}
    found["from files"] = compared(from_files(model, paths), model, rate)
    found["tower"] = compared(in_tower(model, paths), model, rate)
    if name not in (NARROW, *LARGE):
        found["trained tower"] = compared(trained(model, paths), model, rate)
    for part in ("from files", "tower"):
        lines = found[part]["ways"]
        for line in lines.values():
            line["pictures_per_second"] = round(len(paths) / line["seconds"], 2)
            line["times_floor"] = round(1 / line["share"], 2) if line["share"] else None
    return found


def narrow() -> VLM:
    """The model that `NARROW` is."""

    def few_and_narrow(config: Any) -> None:
        small = {"hidden_size": 320, "num_heads": 4, "intermediate_size": 860, "out_hidden_size": 64, "depth": 8}
        for field, value in (small | {"fullatt_block_indexes": [3, 7]}).items():
            setattr(config.vision_config, field, value)
        text = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
        for field, value in (text | {"num_hidden_layers": 1, "layer_types": ["full_attention"]}).items():
            setattr(config.text_config, field, value)
        config.text_config.rope_parameters["mrope_section"] = [4, 2, 2]

    return build("qwen2.5-vl-7b", "cpu", torch.float32, few_and_narrow)


# ------------------------------------------------------------------------------------------------------------- ways
def own(model: VLM, read: Any) -> Tensor:
    """A picture's visual tokens."""
    return model.encode(read).tokens


def plain(model: VLM, read: Any) -> Tensor:
    """The same as the classes of `transformers` make them."""
    inputs = {key: value.to(model.device) for key, value in (read[0] if isinstance(read, tuple) else read).items()
              if isinstance(value, Tensor)}  # fmt: skip
    inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    network = model.model.model
    with as_transformers_does(model):
        if model.layered:
            seen = network.vision_model(**inputs).last_hidden_state
            return network.multi_modal_projector(seen).reshape(-1, model.width)  # type: ignore[no-any-return]
        names = ("pixel_values", "image_grid_thw")
        seen = network.get_image_features(**{name: inputs[name] for name in names}, return_dict=True)
        return torch.cat([*seen.pooler_output])


@contextmanager
def as_transformers_does(model: VLM) -> Iterator[None]:
    """The tower with its own attention and convolution."""
    config, tower = model.model.config.vision_config, model.vision_tower()
    patches = [module for module in tower.modules() if type(module) is Patches]
    runs = config._attn_implementation == RUNS
    for module in patches:
        module.__class__ = nn.Conv3d
    if runs:
        config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        for module in patches:
            module.__class__ = Patches
        if runs:
            config._attn_implementation = RUNS


def from_files(model: VLM, paths: Sequence[Path]) -> dict[str, Way]:
    """Reading and preprocessing included: by hand, and as a run sees them."""

    @torch.no_grad()
    def theirs(clock: Clock) -> list[Tensor]:
        with clock:
            return [plain(model, model.pixels(path)) for path in paths]

    def ours(clock: Clock) -> list[Tensor]:
        model.let_go(paths)
        with clock:
            model.look_ahead(paths)
            return [model.see(path).tokens for path in paths]

    return {"transformers": theirs, "unlearnbench": ours}


def in_tower(model: VLM, paths: Sequence[Path]) -> dict[str, Way]:
    """Of pictures that are read."""
    reads = [model.pixels(path) for path in paths]

    @torch.no_grad()
    def theirs(clock: Clock) -> list[Tensor]:
        with clock:
            return [plain(model, read) for read in reads]

    @torch.no_grad()
    def together(clock: Clock) -> list[Tensor]:
        with clock:
            return [picture.tokens for picture in model.encode_all(reads)]

    @torch.no_grad()
    def ours(clock: Clock) -> list[Tensor]:
        with clock:
            return [own(model, read) for read in reads]

    return {"transformers": theirs, "several at once": together, "unlearnbench": ours}


def trained(model: VLM, paths: Sequence[Path]) -> dict[str, Way]:
    """What a step of training the tower takes for its pictures, forwards and backwards, reading included."""
    weights = [*model.vision_parameters().values()]

    def step(see: Callable[[], list[Tensor]]) -> Way:
        def way(clock: Clock) -> list[Tensor]:
            for weight in weights:
                weight.requires_grad_(True)
            with clock:
                loss = sum((tokens.float() ** 2).mean() for tokens in see())
                found = torch.autograd.grad(loss, weights, allow_unused=True)  # type: ignore[arg-type]
            for weight in weights:
                weight.requires_grad_(False)
            return [each for each in found if each is not None]

        return way

    return {
        "transformers": step(lambda: [plain(model, model.pixels(path)) for path in paths]),
        "unlearnbench": step(lambda: [picture.tokens for picture in model.pictures.see_anew(paths)]),
    }


# -------------------------------------------------------------------------------------------------------- measuring
def compared(ways: dict[str, Way], model: VLM, rate: float) -> dict[str, Any]:
    """The ways in turns; raises AssertionError where what they give differs and must not."""
    lines, found = compare(ways, REPEATS, model.device, rate)
    differ = 0.0
    expected = found["transformers"]
    for other in found.values():
        for one, two in zip(expected, other, strict=True):
            differ = max(differ, float((one.detach() - two.detach()).abs().max() / one.detach().abs().max()))
    assert differ < PRECISION or model.dtype != torch.float32, f"what the tower makes differs by {differ:.1e}"
    return {"ways": lines, "largest_difference": differ}


class Dispatched(TorchDispatchMode):
    """Counts what a device is told to do, views of tensors left out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.attentions = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += not func.is_view
        self.attentions += "scaled_dot_product" in func.name()
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def counted(model: VLM, see: Callable[[VLM, Any], Tensor], path: Path) -> dict[str, int]:
    """How much that is for one picture, of a size that was seen before."""
    read = model.pixels(path)
    see(model, read)
    with Dispatched() as told:
        see(model, read)
    return {"all": told.operations, "attention": told.attentions}


def main() -> None:
    """Measure what there is a device for."""
    report(__doc__, measured, {"cuda": [*LARGE], "cpu": [*LARGE.values(), NARROW]})


if __name__ == "__main__":
    main()
