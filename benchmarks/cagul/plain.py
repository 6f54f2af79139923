"""CAGUL's training written plainly: every step computes everything, sample by sample, with `transformers` alone.

The yardstick for `unlearnbench.methods.cagul.training`: no cache, no early exit, no skipped sample, attention from
eager L x L matrices, the gate as a multiplication, an optimiser and a clipping for each module. Slow on purpose.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup
from transformers.modeling_outputs import BaseModelOutputWithPooling

from unlearnbench.methods.cagul.modules import Discriminator, Encoder
from unlearnbench.methods.cagul.params import CAGULParams
from unlearnbench.methods.cagul.training import TrainingCase
from unlearnbench.models.contract.vlm import VLM


class PlainCagul:
    """D, E and the two phases, for the default variant (CNN discriminator, linear encoder, mean over layers)."""

    def __init__(self, model: VLM, params: CAGULParams, seed: int) -> None:
        self.model, self.processor, self.params, self.seed = model.model, model.processor, params, seed
        torch.manual_seed(seed)
        self.discriminator = Discriminator(model.width, params.discriminator_channels, params.discriminator_head)
        self.encoder = Encoder(model.width, params.encoder_init).to(model.device)

    def train(self, cases: Sequence[TrainingCase]) -> None:
        """Both phases."""
        self.train_discriminator(cases)
        self.train_jointly(cases)

    def train_discriminator(self, cases: Sequence[TrainingCase]) -> None:
        """Phase one: D alone."""
        rates = {self.discriminator: self.params.discriminator_learning_rate}
        self.phase(cases, rates, self.params.discriminator_epochs, self.seed, self.gate_loss)

    def train_jointly(self, cases: Sequence[TrainingCase]) -> None:
        """Phase two: D and E."""
        rates = {self.discriminator: self.params.discriminator_learning_rate, self.encoder: self.params.learning_rate}
        self.phase(cases, rates, self.params.epochs, self.seed + 1, self.joint_loss)

    def parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        return [*self.discriminator.parameters(), *self.encoder.parameters()]

    def phase(
        self, cases: Sequence[TrainingCase], rates: dict[nn.Module, float], epochs: int, seed: int, loss: Any
    ) -> None:
        """For every module of ``rates`` AdamW with warm-up, cosine decay and clipping, over shuffled batches."""
        size, decay = self.params.batch_size, self.params.weight_decay
        steps = -(-len(cases) // size) * epochs
        warm = round(steps * self.params.warmup_ratio)
        optimizers = [torch.optim.AdamW(module.parameters(), lr=r, weight_decay=decay) for module, r in rates.items()]
        schedules = [get_cosine_schedule_with_warmup(optimizer, warm, steps) for optimizer in optimizers]
        for epoch in range(1, epochs + 1):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
            order = torch.randperm(len(cases), generator=generator).tolist()
            for start in range(0, len(order), size):
                for optimizer in optimizers:
                    optimizer.zero_grad(set_to_none=False)
                loss([cases[index] for index in order[start : start + size]]).backward()
                for module, optimizer, schedule in zip(rates, optimizers, schedules, strict=True):
                    nn.utils.clip_grad_norm_(module.parameters(), self.params.clip_norm)
                    optimizer.step()
                    schedule.step()

    def gate_loss(self, batch: list[TrainingCase]) -> Tensor:
        """Eq. 10, a sample at a time."""
        logits = torch.cat([self.discriminator([self.see(case)]) for case in batch])
        return F.binary_cross_entropy_with_logits(logits, torch.tensor([float(case.flagged) for case in batch]))

    def joint_loss(self, batch: list[TrainingCase]) -> Tensor:
        """Eq. 13: every sample goes through the language model, flagged or not."""
        answers = []
        for case in batch:
            tokens = self.see(case)
            gate = (self.discriminator([tokens]).detach().sigmoid() >= self.params.threshold).float()
            selected = self.selected(self.scores(case))
            answers.append(self.nll(case, tokens + gate * selected * (self.encoder(tokens) - tokens)))
        return self.gate_loss(batch) + torch.stack(answers).sum() / len(batch)

    def selected(self, scores: Tensor) -> Tensor:
        """Ones at the k tokens of least score, zeros elsewhere [N_v, 1]."""
        chosen = scores.argsort(stable=True)[: self.params.k]
        return torch.zeros(len(scores), 1).index_fill(0, chosen, 1.0)

    # ------------------------------------------------------------------------------------------ transformers alone
    def inputs(self, case: TrainingCase, answer: str = "") -> dict[str, Tensor]:
        """What the processor makes of picture, question and answer."""
        content = [{"type": "image"}, {"type": "text", "text": case.sample.text}]
        prompt = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        image = Image.open(case.sample.image).convert("RGB")
        return dict(self.processor(text=[prompt + answer], images=[image], return_tensors="pt"))

    @torch.no_grad()
    def see(self, case: TrainingCase) -> Tensor:
        """Visual tokens [N_v, d], through the whole vision tower."""
        inputs = self.inputs(case)
        features = self.model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        return features.pooler_output[0]  # type: ignore[no-any-return]

    @torch.no_grad()
    def scores(self, case: TrainingCase) -> Tensor:
        """Eq. 7 averaged over layers [N_v], from the full attention matrices of the eager implementation."""
        inputs = self.inputs(case)
        image = (inputs["input_ids"][0] == self.model.config.image_token_id).nonzero()[:, 0]
        return torch.stack([layer[:, image].mean(0) for layer in self.attended(case, inputs)]).mean(0)

    def attended(self, case: TrainingCase, inputs: dict[str, Tensor]) -> list[Tensor]:
        """Attention of the question's tokens to all keys, the mean over heads [question, keys], layer by layer."""
        self.model.set_attn_implementation("eager")
        attentions = self.model(**inputs, output_attentions=True).attentions
        self.model.set_attn_implementation("sdpa")
        ids = inputs["input_ids"][0]
        question = self.processor.tokenizer(case.sample.text, add_special_tokens=False).input_ids
        start = next(i for i in range(len(ids)) if ids[i : i + len(question)].tolist() == question)
        return [layer[0].mean(0)[start : start + len(question)] for layer in attentions]

    def nll(self, case: TrainingCase, visual: Tensor) -> Tensor:
        """Mean negative log-likelihood of the answer's tokens, from logits at every position."""
        prompt = self.inputs(case)["input_ids"].shape[1]
        inputs = self.inputs(case, case.answer + self.processor.tokenizer.eos_token)
        inputs.pop("pixel_values")
        output = BaseModelOutputWithPooling(pooler_output=(visual,))
        logits = self.model(**inputs, mm_encoder_outputs={"image": output}, use_cache=False).logits[0]
        return F.cross_entropy(logits[prompt - 1 : -1].float(), inputs["input_ids"][0, prompt:])


class PlainCross(PlainCagul):
    """The same for Llama-3.2-Vision, each of whose cross-attention layers chooses and sees tokens of its own.

    The model comes from a `VLM`, whose hooks hand [B, layers, N_v, d] out to the layers.
    """

    def selected(self, scores: Tensor) -> Tensor:
        """For each layer [layers, N_v, 1]."""
        return torch.stack([super(PlainCross, self).selected(layer) for layer in scores])

    @torch.no_grad()
    def see(self, case: TrainingCase) -> Tensor:
        """Visual tokens of all tiles [N_v, d]."""
        inputs = self.inputs(case)
        tiles = {name: inputs[name] for name in ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")}
        features = self.model.model.vision_model(**tiles).last_hidden_state[0, 0].flatten(0, 1)
        return self.model.model.multi_modal_projector(features)  # type: ignore[no-any-return]

    @torch.no_grad()
    def scores(self, case: TrainingCase) -> Tensor:
        """Eq. 7 of every cross-attention layer [layers, N_v]; tokens of empty tiles are never among the least."""
        inputs = self.inputs(case)
        layers = self.attended(case, inputs)
        crossed = torch.stack([layers[place].mean(0) for place in self.model.config.text_config.cross_attention_layers])
        shown = inputs["aspect_ratio_mask"][0, 0].bool()
        return crossed.masked_fill(~shown.repeat_interleave(crossed.shape[1] // len(shown)), float("inf"))

    def nll(self, case: TrainingCase, visual: Tensor) -> Tensor:
        """Mean negative log-likelihood of the answer's tokens, from logits at every position."""
        prompt = self.inputs(case)["input_ids"].shape[1]
        inputs = self.inputs(case, case.answer + self.processor.tokenizer.eos_token)
        taken = {name: inputs[name] for name in ("input_ids", "attention_mask", "cross_attention_mask")}
        logits = self.model(**taken, cross_attention_states=visual[None], use_cache=False).logits[0]
        return F.cross_entropy(logits[prompt - 1 : -1].float(), inputs["input_ids"][0, prompt:])


def largest_difference(left: Iterable[Tensor], right: Iterable[Tensor]) -> float:
    """The largest absolute difference between corresponding tensors."""
    return max(float((a - b).detach().abs().max()) for a, b in zip(left, right, strict=True))
