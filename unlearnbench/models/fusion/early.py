"""Models whose visual tokens stand in the language model's own sequence: what they have in common."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ..contract.vlm import Batch, PictureCounts
from ..pictures import together
from ..pictures.cache import Picture
from .decoder import DecoderVLM


class EarlyFusionVLM(DecoderVLM):
    """Self-attention over text and visual tokens together; visual tokens enter once, at the input.

    A family says where its projector is, and overrides what it does differently.
    """

    features_along = 0

    @property
    def image_token_id(self) -> int:  # noqa: D102
        return int(self.model.config.image_token_id)

    @property
    def attention_layers(self) -> tuple[int, ...]:  # noqa: D102
        return tuple(range(len(self.model.get_decoder().layers)))

    # ------------------------------------------------------------------------------------------------------ seeing
    def preprocess(self, image: Image.Image, processor: Any) -> Any:  # noqa: D102
        return processor(text=[processor.image_token], images=[[image]], return_tensors="pt", add_special_tokens=False)

    def own_size(self, width: int, height: int) -> tuple[int, int] | None:
        """The square that the vision tower takes: of that size nothing is cut up or scaled."""
        side = self.model.config.vision_config.image_size
        high, wide = (side, side) if isinstance(side, int) else side
        return int(wide), int(high)

    def encode(self, preprocessed: Any) -> Picture:  # noqa: D102
        [picture] = self._encode([preprocessed])
        return picture

    def encode_all(self, preprocessed: Sequence[Any]) -> list[Picture]:
        """Those of equal size together."""
        if self.features_along is None:
            return super().encode_all(preprocessed)
        pixels = [each["pixel_values"] for each in preprocessed]
        return together.encoded(lambda places: self._encode([preprocessed[place] for place in places]), pixels)

    def _encode(self, preprocessed: Sequence[Any]) -> list[Picture]:
        """Pictures of equal size."""
        see = self.model.model.get_image_features
        wanted = [name for name in inspect.signature(see).parameters if name in preprocessed[0]]
        given = {name: together.joined([each[name] for each in preprocessed]).to(self.device) for name in wanted}
        given |= self._tower_inputs(preprocessed)
        given["pixel_values"] = given["pixel_values"].to(self.dtype)
        with heard(self._projectors()) as features:
            see(**given, return_dict=True)
        extras = [{name: each[name].to(self.device) for name in self._picture_inputs} for each in preprocessed]
        further = {name: together.joined([extra[name] for extra in extras]) for name in self._picture_inputs}
        parts = self._arranged(features, further | given).chunk(len(preprocessed), dim=self.features_along or 0)
        pictures = []
        for own, each, extra in zip(parts, preprocessed, extras, strict=True):
            pictures.append(Picture(own, torch.empty(0), each["input_ids"][0].tolist(), extra))
        return together.with_tokens(pictures, self.project_all)

    def project(self, picture: Picture) -> Tensor:  # noqa: D102
        return self.projector()(picture.features).reshape(-1, self.width)  # type: ignore[no-any-return]

    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:
        """A token for every patch of one square crop, to which any picture is made."""
        patches = self._crop_patches()
        return PictureCounts(patches, patches, patches * self.model.config.vision_config.hidden_size)

    def _crop_patches(self) -> int:
        """Patches of a square that the vision tower takes."""
        vision = self.model.config.vision_config
        size, patch = (
            length if isinstance(length, int) else length[0] for length in (vision.image_size, vision.patch_size)
        )
        return int(size // patch) ** 2

    def layout(self, picture: Picture) -> Tensor:
        """A square of tokens; where a picture is cut up, that of the whole picture, which comes last."""
        side = math.isqrt(picture.count // len(picture.features))
        return torch.arange(picture.count - side * side, picture.count).view(side, side)

    _picture_inputs: tuple[str, ...] = ()
    """What the processor makes of a picture that the language model needs too."""

    def _tower_inputs(self, preprocessed: Sequence[Any]) -> dict[str, Any]:
        """What `transformers` is given for its tower beside what the processor has made, or instead of it."""
        return {}

    def _projectors(self) -> Sequence[nn.Module]:
        """The modules that map to visual tokens, in the order of their streams."""
        return [self.projector()]

    def _arranged(self, given: list[Tensor], inputs: dict[str, Any]) -> Tensor:
        """The projectors' inputs as pictures keep them, one's after the other's; the tower was given ``inputs``."""
        return given[0]

    # ------------------------------------------------------------------------------------------ the language model
    def _attention_module(self, layer: int) -> nn.Module:
        return self.model.get_decoder().layers[layer].self_attn  # type: ignore[no-any-return]

    def _visual_part(self, scores: Tensor, batch: Batch) -> list[Tensor]:
        return [
            part
            for score, mask, places in zip(scores, batch.image_mask, batch.by_row, strict=True)
            for part in score[:, mask].split([batch.pictures[place].count for place in places], dim=1)
        ]

    def _inputs(self, batch: Batch, visual: list[Tensor]) -> dict[str, Any]:
        """Text, the family's further inputs, and the visual tokens where `transformers` takes encoder outputs."""
        text = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, **self._extra(batch)}
        if not visual:
            return text
        return text | {"mm_encoder_outputs": {"image": self._encoded([tokens.to(self.dtype) for tokens in visual])}}

    def _encoded(self, visual: list[Tensor]) -> Any:
        """Visual tokens as the model's own encoder would have returned them."""
        return BaseModelOutputWithPooling(pooler_output=tuple(visual))

    def _extra(self, batch: Batch) -> dict[str, Tensor]:
        names = batch.pictures[0].extra if batch.pictures else {}
        return {name: torch.cat([picture.extra[name] for picture in batch.pictures]) for name in names}


@contextmanager
def heard(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the first input of each of ``modules``, in their order, over the passes inside the block."""
    given: dict[int, Tensor] = {}
    collected: list[Tensor] = []

    def hear(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given[id(module)] = args[0] if args else next(iter(kwargs.values()))

    hooks = [module.register_forward_pre_hook(hear, with_kwargs=True) for module in modules]
    try:
        yield collected
    finally:
        for hook in hooks:
            hook.remove()
    collected.extend(given[id(module)] for module in modules)
