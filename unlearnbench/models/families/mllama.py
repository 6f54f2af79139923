"""Models that read the picture through cross-attention layers of their own (Llama-3.2-Vision).

Visual tokens never stand in the language model's sequence: one placeholder does, and every cross-attention layer
reads all tokens of all tiles. So each of these layers can be given visual tokens of its own.
"""

from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers.models.mllama.image_processing_pil_mllama import (
    get_all_supported_aspect_ratios,
    get_image_size_fit_to_canvas,
)

from ..contract.vlm import Batch
from ..pictures.cache import Picture
from .decoder import DecoderVLM


class Mllama(DecoderVLM):
    """``transformers.MllamaForConditionalGeneration``.

    Visual tokens [tiles * tokens a tile, d] are those of every tile, the padding that `Picture.valid` marks too:
    tokens before the picture's attend to it (transformers #39379), so leaving it out would change answers.
    """

    layered = True

    def __init__(self, model: nn.Module, processor: Any, family: str) -> None:
        super().__init__(model, processor, family)
        self.model.model.register_forward_pre_hook(_only_at_first, with_kwargs=True)
        for place, layer in enumerate(self.attention_layers):
            self._attention_module(layer).register_forward_pre_hook(_own_of(place), with_kwargs=True)

    @property
    def image_token_id(self) -> int:  # noqa: D102
        return int(self.model.config.image_token_index)

    @property
    def attention_layers(self) -> tuple[int, ...]:  # noqa: D102
        return tuple(sorted(self.model.config.text_config.cross_attention_layers))

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.multi_modal_projector  # type: ignore[no-any-return]

    # ------------------------------------------------------------------------------------------------------ seeing
    def preprocess(self, image: Image.Image, processor: Any) -> Any:
        """Pixels of the tiles, and how much of them the picture covers."""
        inputs = processor.image_processor([[image]], return_tensors="pt")
        return inputs, self._covered(image, inputs)

    @torch.no_grad()
    def encode(self, preprocessed: Any) -> Picture:  # noqa: D102
        inputs, covers = preprocessed[0].to(self.device), preprocessed[1]
        tiles = {name: inputs[name] for name in ("aspect_ratio_ids", "aspect_ratio_mask")}
        pixels = inputs["pixel_values"].to(self.dtype)
        features = self.model.model.vision_model(pixel_values=pixels, **tiles).last_hidden_state[0, 0]
        valid = tiles["aspect_ratio_mask"][0, 0].bool().repeat_interleave(features.shape[1])
        picture = Picture(features.flatten(0, 1), torch.empty(0), [self.image_token_id], tiles, valid, covers)
        picture.tokens = self.project(picture)
        return picture

    def project(self, picture: Picture) -> Tensor:  # noqa: D102
        return self.projector()(picture.features)  # type: ignore[no-any-return]

    def layout(self, picture: Picture) -> Tensor:
        """The patches of the tiles put side by side; each tile's class token shows no place and is left out."""
        vision = self.model.config.vision_config
        rows, columns = self._tiles_of(picture.extra)
        side = vision.image_size // vision.patch_size
        index = torch.arange(rows * columns * (side * side + 1)).view(rows * columns, -1)[:, 1:]
        return index.view(rows, columns, side, side).transpose(1, 2).reshape(rows * side, columns * side)

    def _tiles_of(self, inputs: dict[str, Tensor]) -> tuple[int, int]:
        """Rows and columns of a picture's tiles."""
        kind = int(inputs["aspect_ratio_ids"][0, 0])  # counted from one
        return get_all_supported_aspect_ratios(self.model.config.vision_config.max_num_tiles)[kind - 1]  # type: ignore[no-any-return]

    def _covered(self, image: Image.Image, inputs: dict[str, Tensor]) -> tuple[float, float]:
        """How much of the tiles' height and width the picture takes; it stands in their upper left corner."""
        side = self.model.config.vision_config.image_size
        height, width = (side * tiles for tiles in self._tiles_of(inputs))
        fitted = get_image_size_fit_to_canvas(image.height, image.width, height, width, side)
        return float(fitted[0]) / height, float(fitted[1]) / width

    # ------------------------------------------------------------------------------------------ the language model
    def _attention_module(self, layer: int) -> nn.Module:
        return self.model.get_decoder().layers[layer].cross_attn  # type: ignore[no-any-return]

    def _visual_part(self, scores: Tensor, batch: Batch) -> list[Tensor]:
        return list(scores)

    def _inputs(self, batch: Batch, visual: list[Tensor]) -> dict[str, Any]:
        """Text, visual tokens [B, N_v, d] or [B, layers, N_v, d], and which row may look at which tile.

        The mask is never left out: without one, `transformers` makes cross-attention causal.
        """
        layers = max((len(tokens) for tokens in visual if tokens.ndim == 3), default=0)
        if layers:
            visual = [tokens if tokens.ndim == 3 else tokens.expand(layers, -1, -1) for tokens in visual]
        tiles = torch.cat([picture.extra["aspect_ratio_mask"] for picture in batch.pictures])  # [B, 1, tiles]
        behind = batch.image_mask.cumsum(1).bool() & batch.attention_mask.bool()  # [B, L]
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "cross_attention_states": torch.stack(visual).to(self.dtype),
            "cross_attention_mask": behind[:, :, None, None].long() * tiles[:, None],
        }

    def _further(self, batch: Batch, mask: Tensor) -> dict[str, Any]:
        tiles = torch.cat([picture.extra["aspect_ratio_mask"] for picture in batch.pictures])  # [B, 1, tiles]
        return {"cross_attention_mask": mask[:, :, None, None].long() * tiles[:, None]}


def _only_at_first(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Drop the visual tokens once their keys are cached: `generate` passes them again with every new token."""
    cache = kwargs.get("cache", kwargs.get("past_key_values"))  # the latter is its name before transformers 5.24
    if cache is not None and cache.get_seq_length() > 0:
        kwargs["cross_attention_states"] = None
    return args, kwargs


def _own_of(place: int) -> Any:
    """A hook that leaves the cross-attention layer at ``place`` its own visual tokens of [B, layers, N_v, d]."""

    def choose(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        states = kwargs.get("cross_attention_states")
        if states is not None and states.ndim == 4:
            kwargs["cross_attention_states"] = states[:, place]
        return args, kwargs

    return choose
