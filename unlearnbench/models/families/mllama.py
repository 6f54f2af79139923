"""Llama-3.2-Vision."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers.models.mllama.image_processing_pil_mllama import (
    get_all_supported_aspect_ratios,
    get_image_size_fit_to_canvas,
    get_optimal_tiled_canvas,
)

from ...registry import family
from ..contract.vlm import Batch, PictureCounts
from ..fusion.deep import DeepFusionVLM
from ..pictures import together
from ..pictures.cache import Picture


@family("mllama", reference="arXiv:2407.21783")
class Mllama(DeepFusionVLM):
    """``transformers.MllamaForConditionalGeneration``.

    Visual tokens [tiles * tokens a tile, d] are those of every tile, the padding that `Picture.valid` marks too:
    tokens before the picture's attend to it (transformers #39379), so leaving it out would change answers.
    """

    features_along = 0

    @property
    def image_token_id(self) -> int:  # noqa: D102
        return int(self.model.config.image_token_index)

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.multi_modal_projector  # type: ignore[no-any-return]

    # ------------------------------------------------------------------------------------------------------ seeing
    def preprocess(self, image: Image.Image, processor: Any) -> Any:
        """Pixels of the tiles, and how much of them the picture covers."""
        inputs = processor.image_processor([[image]], return_tensors="pt")
        return inputs, self._covered(image, inputs)

    def own_size(self, width: int, height: int) -> tuple[int, int]:
        """That to which it is made to fit into its tiles."""
        side, most = (getattr(self.model.config.vision_config, name) for name in ("image_size", "max_num_tiles"))
        rows, columns = get_optimal_tiled_canvas(height, width, most, side)
        high, wide = get_image_size_fit_to_canvas(height, width, rows, columns, side)
        return int(wide), int(high)

    def pixel_values(self, preprocessed: Any) -> Tensor:  # noqa: D102
        return super().pixel_values(preprocessed[0])

    def with_pixel_values(self, preprocessed: Any, values: Tensor) -> Any:  # noqa: D102
        inputs, covers = preprocessed
        return super().with_pixel_values(inputs, values), covers

    def encode(self, preprocessed: Any) -> Picture:  # noqa: D102
        [picture] = self._encode([preprocessed])
        return picture

    def encode_all(self, preprocessed: Sequence[Any]) -> list[Picture]:
        """Several together."""
        pixels = [self.pixel_values(each) for each in preprocessed]
        return together.encoded(lambda places: self._encode([preprocessed[place] for place in places]), pixels)

    def _encode(self, preprocessed: Sequence[Any]) -> list[Picture]:
        names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
        given = {name: together.joined([each[0][name] for each in preprocessed]).to(self.device) for name in names}
        given["pixel_values"] = given["pixel_values"].to(self.dtype)
        features = self.model.model.vision_model(**given).last_hidden_state[:, 0]
        pictures = []
        for place, (own, (_, covers)) in enumerate(zip(features, preprocessed, strict=True)):
            tiles = {name: given[name][place : place + 1] for name in names[1:]}
            valid = tiles["aspect_ratio_mask"][0, 0].bool().repeat_interleave(own.shape[1])
            ids = [self.image_token_id]
            pictures.append(Picture(own.flatten(0, 1), torch.empty(0), ids, tiles, valid, covers))
        return together.with_tokens(pictures, self.project_all)

    def project(self, picture: Picture) -> Tensor:  # noqa: D102
        return self.projector()(picture.features)  # type: ignore[no-any-return]

    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:
        """The tokens of all tiles, padding tiles too."""
        vision = self.model.config.vision_config
        tokens = vision.max_num_tiles * ((vision.image_size // vision.patch_size) ** 2 + 1)
        return PictureCounts(tokens, tokens, tokens * vision.vision_output_dim)

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

    def _crossing(self, batch: Batch, seen: Tensor) -> dict[str, Any]:
        tiles = torch.cat(
            [picture.extra["aspect_ratio_mask"] for picture in batch.pictures]
        )  # [all pictures, 1, tiles]
        tiles = tiles.view(len(batch), 1, -1, tiles.shape[-1])
        return {"cross_attention_mask": seen[..., None].long() * tiles}  # [B, n, pictures, tiles]
