"""Models whose visual tokens stand in the language model's own sequence (Qwen2.5-VL and its like)."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.vision_utils import get_vision_window_index

from .attention import AttentionReader, reading
from .vlm import VLM, Batch, Picture, named_within


class JointVLM(VLM):
    """Self-attention over text and visual tokens together; visual tokens enter once, at the input."""

    def language_model(self) -> nn.Module:  # noqa: D102
        return self.model.get_decoder()  # type: ignore[no-any-return]

    def language_parameters(self) -> dict[str, nn.Parameter]:  # noqa: D102
        head = named_within(self.model, self.model.get_output_embeddings())
        return {**named_within(self.model, self.language_model()), **head}

    @property
    def image_token_id(self) -> int:  # noqa: D102
        return int(self.model.config.image_token_id)

    # ------------------------------------------------------------------------------------------ the language model
    def attention(self, batch: Batch, visual: list[Tensor], layers: Sequence[int] | None = None) -> list[Tensor]:  # noqa: D102
        decoder = self.model.get_decoder().layers
        wanted = sorted(range(len(decoder)) if layers is None else {layer % len(decoder) for layer in layers})
        rows = pad_sequence([row.nonzero()[:, 0] for row in batch.question_mask], batch_first=True, padding_value=-1)
        reader = AttentionReader([(layer, decoder[layer].self_attn) for layer in wanted], rows)
        with torch.no_grad(), reading(self.model, reader):
            self._forward(batch, visual, logits_to_keep=1)
        scores = torch.stack([reader.scores[layer] for layer in wanted], dim=1)  # [B, layers, L]
        return [score[:, mask] for score, mask in zip(scores, batch.image_mask, strict=True)]

    def answer_logits(self, batch: Batch, visual: list[Tensor] | None = None) -> Tensor:  # noqa: D102
        predicting = batch.answer_mask.roll(-1, dims=1)  # the token before each answer token
        seen = self.look(batch) if visual is None else visual
        return self._forward(batch, seen, logits_to_keep=predicting).logits  # type: ignore[no-any-return]

    @torch.no_grad()
    def generate(self, batch: Batch, visual: list[Tensor] | None = None, *, max_new_tokens: int) -> list[str]:  # noqa: D102
        output = self.model.generate(
            **self._inputs(batch, self.look(batch) if visual is None else visual),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        said = output[:, batch.input_ids.shape[1] :]
        return [text.strip() for text in self.tokenizer.batch_decode(said, skip_special_tokens=True)]

    def _forward(self, batch: Batch, visual: list[Tensor], **options: Any) -> Any:
        return self.model(**self._inputs(batch, visual), use_cache=False, **options)

    def _inputs(self, batch: Batch, visual: list[Tensor]) -> dict[str, Any]:
        """Text, the family's further inputs, and the visual tokens where `transformers` takes encoder outputs."""
        tokens = tuple(token.to(self.dtype) for token in visual)
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            **self._extra(batch),
            "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=tokens)},
        }

    def _extra(self, batch: Batch) -> dict[str, Tensor]:
        names = batch.pictures[0].extra
        return {name: torch.cat([picture.extra[name] for picture in batch.pictures]) for name in names}


class Qwen2_5_VL(JointVLM):
    """``transformers.Qwen2_5_VLForConditionalGeneration``."""

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.visual.merger  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, image: Image.Image) -> Picture:  # noqa: D102
        inputs = self.processor(text=[self.processor.image_token], images=[image], return_tensors="pt").to(self.device)
        grid = inputs["image_grid_thw"]
        output = self.model.model.get_image_features(inputs["pixel_values"].to(self.dtype), grid, return_dict=True)
        features = self._in_reading_order(output.last_hidden_state, grid)
        picture = Picture(features, torch.empty(0), inputs["input_ids"][0].tolist(), {"image_grid_thw": grid})
        picture.tokens = self.project(picture)
        return picture

    def project(self, picture: Picture) -> Tensor:  # noqa: D102
        return self.projector()(picture.features)  # type: ignore[no-any-return]

    def grid(self, picture: Picture) -> tuple[int, int]:  # noqa: D102
        _, height, width = picture.extra["image_grid_thw"][0].tolist()
        merged = self.model.model.visual.spatial_merge_size
        return height // merged, width // merged

    def _in_reading_order(self, features: Tensor, grid: Tensor) -> Tensor:
        """Undo the tower's window order on the patches that the merger fuses, so that its output needs no undoing."""
        tower = self.model.model.visual
        order, _ = get_vision_window_index(
            grid,
            spatial_merge_size=tower.spatial_merge_size,
            window_size=tower.window_size,
            patch_size=tower.patch_size,
            kwargs={},
        )
        fused = features.view(-1, tower.spatial_merge_unit, features.shape[-1])
        return fused[order.argsort()].reshape(features.shape)

    def _extra(self, batch: Batch) -> dict[str, Tensor]:
        """M-RoPE needs to know which tokens are visual: without it positions silently become one-dimensional."""
        return {**super()._extra(batch), "mm_token_type_ids": batch.image_mask.int()}
