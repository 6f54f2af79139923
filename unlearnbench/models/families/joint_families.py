"""The families of the joint kind, one class each: Qwen2.5-VL, Qwen3-VL, LLaVA-1.5, SmolVLM, Gemma 3, InternVL."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.vision_utils import get_vision_window_index

from ..contract.vlm import Batch
from ..pictures.cache import Picture
from .early_fusion import JointVLM


class QwenVL(JointVLM):
    """What Qwen2.5-VL and Qwen3-VL share: grids of any shape, patches merged, M-RoPE."""

    _picture_inputs = ("image_grid_thw",)

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.visual.merger  # type: ignore[no-any-return]

    def layout(self, picture: Picture) -> Tensor:  # noqa: D102
        _, height, width = picture.extra["image_grid_thw"][0].tolist()
        merged = self.model.model.visual.spatial_merge_size
        return torch.arange(picture.count).view(height // merged, width // merged)

    def _extra(self, batch: Batch) -> dict[str, Tensor]:
        """M-RoPE needs to know which tokens are visual: without it positions silently become one-dimensional."""
        return {**super()._extra(batch), "mm_token_type_ids": batch.image_mask.int()}


class Qwen2_5_VL(QwenVL):
    """``transformers.Qwen2_5_VLForConditionalGeneration``."""

    def _arranged(self, given: list[Tensor], extra: dict[str, Tensor]) -> Tensor:
        """Undo the tower's window order on the patches that the merger fuses, so that its output needs no undoing."""
        tower, features = self.model.model.visual, given[0]
        order, _ = get_vision_window_index(
            extra["image_grid_thw"],
            spatial_merge_size=tower.spatial_merge_size,
            window_size=tower.window_size,
            patch_size=tower.patch_size,
            kwargs={},
        )
        fused = features.view(-1, tower.spatial_merge_unit, features.shape[-1])
        return fused[order.argsort()].reshape(features.shape)


class Qwen3VL(QwenVL):
    """``transformers.Qwen3VLForConditionalGeneration``.

    The first language-model layers add further features of each visual token ("deepstack"). They are streams of the
    token beside its main one: [1 + deepstack layers, N_v, d]. An edit replaces all streams of a token, or the model
    would go on seeing the original.
    """

    def projector(self) -> nn.Module:
        """The merger and those of deepstack."""
        return nn.ModuleList(self._projectors())

    def project(self, picture: Picture) -> Tensor:  # noqa: D102
        streams = zip(self._projectors(), picture.features, strict=True)
        return torch.stack([module(features).reshape(-1, self.width) for module, features in streams])

    def _projectors(self) -> Sequence[nn.Module]:
        tower = self.model.model.visual
        return [tower.merger, *tower.deepstack_merger_list]

    def _arranged(self, given: list[Tensor], extra: dict[str, Tensor]) -> Tensor:
        return torch.stack(given)

    def _encoded(self, visual: list[Tensor]) -> Any:
        from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

        main, *deeper = zip(*visual, strict=True)  # streams of samples from samples of streams
        return BaseModelOutputWithDeepstackFeatures(pooler_output=main, deepstack_features=[list(s) for s in deeper])


class Llava(JointVLM):
    """``transformers.LlavaForConditionalGeneration``: LLaVA-1.5."""

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.multi_modal_projector  # type: ignore[no-any-return]


class InternVL(Llava):
    """``transformers.InternVLForConditionalGeneration``: crops of the picture, then the whole of it."""

    def _encoded(self, visual: list[Tensor]) -> Any:
        return BaseModelOutputWithPooling(pooler_output=torch.cat(visual))


class Gemma3(InternVL):
    """``transformers.Gemma3ForConditionalGeneration``: visual tokens see each other in both directions."""

    shares_prefixes = False  # continued from a cache, `transformers` masks otherwise: logits differ by up to 0.005

    @property
    def end_token_id(self) -> int:
        """Answers end with the turn, which is not the end of the text here."""
        return int(self.tokenizer.convert_tokens_to_ids("<end_of_turn>"))

    def _extra(self, batch: Batch) -> dict[str, Tensor]:
        return {**super()._extra(batch), "token_type_ids": batch.image_mask.long()}


class SmolVLM(JointVLM):
    """``transformers.SmolVLMForConditionalGeneration``: crops of the picture, then the whole of it.

    It alone puts visual tokens in the model's precision between embeddings in theirs, so that these must agree where
    embeddings are trained in float32.
    """

    def __init__(self, model: nn.Module, processor: Any, family: str) -> None:
        super().__init__(model, processor, family)
        precision = self.dtype
        embeddings = self.model.get_input_embeddings()
        embeddings.register_forward_hook(lambda module, args, output: output.to(precision))

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.connector  # type: ignore[no-any-return]
