"""Towers that read a sequence in parts: what `transformers` sees in a loop, with as many steps whatever the picture."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText
from transformers.image_utils import SizeDict

from benchmarks.stages.seeing import Dispatched
from tests.models.tiny_families import loaded, resized
from unlearnbench.contracts.sample import Sample
from unlearnbench.models.contract.vlm import VLM
from unlearnbench.models.pictures.traced import Traced

SIZES = [(308, 196), (196, 308), (140, 140), (1036, 56), (56, 56), (420, 420)]
"""Of pictures: some fill their windows, others leave windows of three smaller sizes, or have one alone."""


@pytest.fixture(scope="module", params=["tiny-qwen2.5-vl", "qwen3_vl"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[VLM, Any]:
    """A model that takes large pictures at their full size, and `transformers` alone with the same weights."""
    folder = tmp_path_factory.mktemp("models")
    model = loaded(request.param, folder)
    model.processor.image_processor.size = SizeDict(shortest_edge=28 * 28, longest_edge=448 * 448)
    model.model.save_pretrained(folder / "saved")
    return model, AutoModelForImageTextToText.from_pretrained(folder / "saved", attn_implementation="sdpa").eval()


@pytest.fixture(scope="module")
def shapes(asked: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return resized([sample.image for sample in asked], SIZES, tmp_path_factory.mktemp("pictures"))


def plain(model: Any, read: Any, values: Tensor | None = None) -> tuple[Tensor, ...]:
    """Visual tokens of `transformers` alone: a picture's own, and those of deepstack."""
    given = read["pixel_values"] if values is None else values
    out = model.model.get_image_features(pixel_values=given, image_grid_thw=read["image_grid_thw"], return_dict=True)
    return (out.pooler_output[0], *(each[0] for each in getattr(out, "deepstack_features", ())))


def own(tokens: Tensor) -> tuple[Tensor, ...]:
    return tuple(tokens) if tokens.ndim == 3 else (tokens,)


@torch.no_grad()
def test_pictures_of_any_shape_are_seen_as_by_transformers(pair: tuple[VLM, Any], shapes: list[Path]) -> None:
    model, theirs = pair
    for path in [*shapes, *shapes[::-1]]:
        found, expected = own(model.encode(model.pixels(path)).tokens), plain(theirs, model.pixels(path))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5 * float(other.abs().max()), rtol=0)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
def test_gradients_in_weights_are_transformers(pair: tuple[VLM, Any], shapes: list[Path], checkpointing: bool) -> None:
    model, theirs = pair
    names, read = [*model.vision_parameters()], model.pixels(shapes[0])
    weights = [dict(each.named_parameters()) for each in (model.model, theirs)]
    wanted = [[each[name] for name in names] for each in weights]
    for each in (model.model, theirs):
        each.requires_grad_(True)
    if checkpointing:
        model.checkpoint_activations()
        model.model.train()
    try:
        ours = sum(each.square().mean() for each in own(model.encode(read).tokens))
        found = torch.autograd.grad(ours, wanted[0])
        expected = torch.autograd.grad(sum(each.square().mean() for each in plain(theirs, read)), wanted[1])
    finally:
        for layer in model.model.modules():
            if getattr(layer, "gradient_checkpointing", False):
                layer.gradient_checkpointing = False
        model.model.eval()
        for each in (model.model, theirs):
            each.requires_grad_(False)
    largest = max(float(each.abs().max()) for each in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * largest, rtol=1e-5)


def test_gradients_in_pixels_are_transformers(pair: tuple[VLM, Any]) -> None:
    model, theirs = pair
    traced = Traced.of(model, 308, 196)
    values = torch.randint(256, (*traced.size[::-1], 3)).float().requires_grad_()
    numbers = (values.flatten()[traced.place] * traced.slope + traced.offset).view_as(
        model.pixel_values(traced.preprocessed)
    )
    found = torch.autograd.grad(sum(each.square().mean() for each in own(traced.see(values).tokens)), values)
    expected = torch.autograd.grad(
        sum(each.square().mean() for each in plain(theirs, traced.preprocessed, numbers)), values
    )
    torch.testing.assert_close(found[0], expected[0], atol=1e-5 * float(expected[0].abs().max()), rtol=0)


@torch.no_grad()
def test_a_large_picture_takes_no_more_steps_than_a_small_one(pair: tuple[VLM, Any], shapes: list[Path]) -> None:
    model, theirs = pair
    counts = {}
    for path in (shapes[5], shapes[2]):  # 8 x 8 windows with 15 smaller ones, 2 x 2 with 3
        model.encode(model.pixels(path))  # what follows from the grid's shape is there
        with Dispatched() as found:
            model.encode(model.pixels(path))
        with Dispatched() as plainly:
            plain(theirs, model.pixels(path))
        counts[path] = found
        assert found.attentions <= plainly.attentions
    large, small = counts.values()
    assert (large.operations, large.attentions) == (small.operations, small.attentions)


@torch.no_grad()
def test_hooks_on_the_towers_blocks_see_what_transformers_blocks_give(
    pair: tuple[VLM, Any], shapes: list[Path]
) -> None:
    """A window's tokens stand together, in whichever order windows are."""
    model, theirs = pair
    read, given = model.pixels(shapes[0]), []
    for network, see in ((model.model, lambda: model.encode(read)), (theirs, lambda: plain(theirs, read))):
        hook = network.model.visual.blocks[-1].register_forward_hook(lambda module, args, out: given.append(out))
        see()
        hook.remove()
    ranked = [each[each[:, 0].argsort()] for each in given]
    torch.testing.assert_close(*ranked, atol=1e-5 * float(ranked[1].abs().max()), rtol=0)
