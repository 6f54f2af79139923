"""CAGUL in front of a frozen model of `transformers`: gate, selection and encoder at work inside ``forward``.

What `unlearnbench export` writes is a model of such a class. It carries a copy of this file and needs `transformers`
alone; ``generate`` looks through the guard too, since it reads a prompt by ``forward``.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutputWithPooling

from unlearnbench.models.contract.attention import AttentionReader, reading

from .modules import Discriminator, Encoder, least_attended, replaced

TEXT = (
    "attention_mask", "position_ids", "token_type_ids", "mm_token_type_ids", "image_grid_thw", "cross_attention_mask",
)  # fmt: skip
"""What the pass that reads attention is given besides token ids and visual tokens."""


VARIANT = "guarded"
"""Of the files of weights: the frozen model's own class, which would show pictures unguarded, finds none without it."""


@dataclass
class Seen:
    """The pictures of a batch, one row's after the other's: visual tokens [N_v, d] and what a choice must know."""

    visual: list[Tensor]
    row_of: list[int]
    valid: list[Tensor | None]
    """Which tokens may be chosen; None for all."""
    real: list[bool]
    """False for what only pads a row that has fewer pictures than another."""


class Networks(nn.Module):
    """The discriminator, where there is one, and the encoder."""

    def __init__(self, width: int, settings: dict[str, Any]) -> None:
        super().__init__()
        channels, head = settings["discriminator_channels"], settings["discriminator_head"]
        self.discriminator = Discriminator(width, channels, head) if settings["discriminator"] == "cnn" else None
        self.encoder = Encoder(width, "random")


class Guarded(nn.Module):
    """What a class of `transformers` becomes by standing behind this one: it is never shown a picture unguarded.

    ``config.cagul`` holds the settings. ``layered`` models choose tokens anew for each layer that attends to them.
    """

    layered = False
    _keep_in_fp32_modules_strict = ("guard",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.config: Any = config
        self.guard = Networks(config.get_text_config().hidden_size, config.cagul)
        self.post_init()  # type: ignore[operator]

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """What `save_pretrained` has written."""
        return super().from_pretrained(*args, **{"variant": VARIANT, **kwargs})  # type: ignore[misc]

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Weights in files of the variant, so that the frozen model's class does not take them for its own."""
        super().save_pretrained(*args, **{"variant": VARIANT, **kwargs})  # type: ignore[misc]

    def forward(self, input_ids: Tensor | None = None, **inputs: Any) -> Any:
        """What the class does by itself, of visual tokens that have gone through the guard."""
        return self._plainly(input_ids=input_ids, **self._guarded(input_ids, inputs))

    def _plainly(self, **inputs: Any) -> Any:
        return super().forward(**inputs)

    def _guarded(self, ids: Tensor | None, inputs: dict[str, Any]) -> dict[str, Any]:
        """``inputs`` with visual tokens in place of pixels; as they are where there is no picture in what is read."""
        if ids is None and inputs.get("pixel_values") is not None:
            raise ValueError("CAGUL chooses visual tokens by the question: give input_ids, not embeddings")
        if ids is None or not bool((ids == self._image_id).any()):
            if inputs.get("pixel_values") is not None or inputs.get("cross_attention_states") is not None:
                raise ValueError(
                    "a picture that no token of the text stands for would be seen unguarded: name it there"
                )
            return inputs
        seen = self._see(ids, inputs)
        if seen is None:
            return inputs
        visual, open_gate = seen.visual, self._flags(seen)
        if any(open_gate):
            chosen = self._choose(ids, inputs, seen)
            triples = zip(visual, chosen, open_gate, strict=True)
            visual = [replaced(each, its, self.guard.encoder) if flag else each for each, its, flag in triples]
        return self._shown(inputs, visual, len(ids))

    @torch.no_grad()
    def _flags(self, seen: Seen) -> list[bool]:
        """The hard gate: whether the discriminator takes each picture for somebody to be forgotten."""
        if self.guard.discriminator is None:
            return seen.real
        likely = self.guard.discriminator(seen.visual).sigmoid() >= self.config.cagul["threshold"]
        return [flag and real for flag, real in zip(likely.tolist(), seen.real, strict=True)]

    @torch.no_grad()
    def _choose(self, ids: Tensor, inputs: dict[str, Any], seen: Seen) -> list[Tensor]:
        """Eq. 7: the tokens of each picture to which its question attends least, as the model sees it by itself."""
        settings, wanted = self.config.cagul, self._layers()
        reader = AttentionReader([(layer, self._attention(layer)) for layer in wanted], self._questions(ids))
        text = {name: inputs[name] for name in TEXT if inputs.get(name) is not None}
        own = self._shown(text, seen.visual, len(ids))
        with reading(self, reader):
            self._plainly(input_ids=ids, **own, use_cache=False, logits_to_keep=1)
        scores = torch.stack([reader.scores[layer] for layer in wanted], dim=1)
        each_chooses = self.layered and settings["layer_reduce"] == "paper"
        found = []
        for score, valid in zip(self._of_pictures(scores, ids, seen), seen.valid, strict=True):
            chosen = least_attended(score if each_chooses else score.mean(0, keepdim=True), settings["k"], valid)
            found.append(chosen if each_chooses else chosen[0])
        return found

    def _layers(self) -> Sequence[int]:
        """The numbers of the layers whose attention chooses."""
        own = self._attending
        match self.config.cagul["layer_reduce"]:
            case "paper" | "mean":
                return own
            case "last":
                return own[-1:]
            case layers:
                return sorted({layer if layer >= 0 else own[layer] for layer in layers})

    def _questions(self, ids: Tensor) -> Tensor:
        """Where each row's question stands [B, tokens], -1 where a row's is shorter: behind its pictures, by marks."""
        before, behind = (self.config.cagul["marks"][name] for name in ("before", "behind"))
        places = []
        for row in ids.tolist():
            pictures = [place for place, token in enumerate(row) if token == self._image_id]
            start = pictures[-1] + 1 + len(before) if pictures else len(row)
            ends = (place for place in range(start, len(row)) if row[place : place + len(behind)] == behind)
            stop = next(ends, start)
            if pictures and (stop == start or row[start - len(before) : start] != before):
                raise ValueError(
                    "CAGUL chooses visual tokens by the question's attention and finds no question behind the "
                    "pictures: make prompts with processor.apply_chat_template(..., add_generation_prompt=True), in "
                    "one turn, pictures first"
                )
            places.append(torch.arange(start, stop, device=ids.device))
        return pad_sequence(places, batch_first=True, padding_value=-1)

    # What depends on how pictures enter the language model.
    _image_id: int
    _attending: Sequence[int]

    def _attention(self, layer: int) -> nn.Module:
        """The module in which text attends to visual tokens in a layer."""
        raise NotImplementedError

    def _see(self, ids: Tensor, inputs: dict[str, Any]) -> Seen | None:
        """The pictures of a batch, None where it has none."""
        raise NotImplementedError

    def _shown(self, inputs: dict[str, Any], visual: list[Tensor], rows: int) -> dict[str, Any]:
        """``inputs`` that show these visual tokens in place of pixels."""
        raise NotImplementedError

    def _of_pictures(self, scores: Tensor, ids: Tensor, seen: Seen) -> list[Tensor]:
        """Of attention to all keys [B, layers, keys], that to visual tokens: per picture [layers, N_v]."""
        raise NotImplementedError


class EarlyFusion(Guarded):
    """For models whose visual tokens stand in the language model's own sequence."""

    @property
    def _image_id(self) -> int:  # type: ignore[override]
        return int(self.config.image_token_id)

    @property
    def _attending(self) -> Sequence[int]:  # type: ignore[override]
        return range(len(self.get_decoder().layers))  # type: ignore[operator]

    def _attention(self, layer: int) -> nn.Module:
        return self.get_decoder().layers[layer].self_attn  # type: ignore[no-any-return,operator]

    def _see(self, ids: Tensor, inputs: dict[str, Any]) -> Seen | None:
        output = (inputs.get("mm_encoder_outputs") or {}).get("image")
        if output is None and inputs.get("pixel_values") is None:
            return None
        if output is None:
            see: Any = self.model.get_image_features  # type: ignore[union-attr]
            wanted = {*inspect.signature(see).parameters} & {name for name in inputs if inputs[name] is not None}
            output = see(**{name: inputs[name] for name in wanted}, return_dict=True)
        visual = self._pictures(output, ids)
        row_of, left = [], (ids == self._image_id).sum(1).tolist()
        for tokens in visual:
            row = next(row for row, count in enumerate(left) if count)
            left[row] -= tokens.shape[-2]
            row_of.append(row)
        return Seen(visual, row_of, [None] * len(visual), [True] * len(visual))

    def _pictures(self, output: Any, ids: Tensor) -> list[Tensor]:
        """The visual tokens of each picture from what the encoder has given."""
        return [*output.pooler_output]

    def _encoded(self, visual: list[Tensor]) -> Any:
        """Visual tokens as the encoder would have given them."""
        return BaseModelOutputWithPooling(pooler_output=tuple(visual))

    def _shown(self, inputs: dict[str, Any], visual: list[Tensor], rows: int) -> dict[str, Any]:
        others = inputs.get("mm_encoder_outputs") or {}
        return inputs | {"mm_encoder_outputs": {**others, "image": self._encoded(visual)}, "pixel_values": None}

    def _of_pictures(self, scores: Tensor, ids: Tensor, seen: Seen) -> list[Tensor]:
        found: list[Tensor] = []
        for row, (score, mask) in enumerate(zip(scores, ids == self._image_id, strict=True)):
            counts = [tokens.shape[-2] for tokens, its in zip(seen.visual, seen.row_of, strict=True) if its == row]
            found += score[:, mask].split(counts, dim=1) if counts else []
        return found


class JoinedFusion(EarlyFusion):
    """For those whose encoder gives all pictures in one tensor, perhaps cut up into crops."""

    def _pictures(self, output: Any, ids: Tensor) -> list[Tensor]:
        """A picture's tokens stand behind each other in the text, and something else before the next one's."""
        its = (ids == self._image_id).int()
        starts = torch.diff(its, dim=1, prepend=torch.zeros_like(its[:, :1])) > 0
        number = starts.flatten().cumsum(0)[its.flatten().bool()]
        return [*output.pooler_output.flatten(0, -2).split(number.bincount()[1:].tolist())]

    def _encoded(self, visual: list[Tensor]) -> Any:
        return BaseModelOutputWithPooling(pooler_output=torch.cat(visual))


class StreamedFusion(EarlyFusion):
    """For those whose first layers are given further streams of each token, [1 + streams, N_v, d] in all."""

    def _pictures(self, output: Any, ids: Tensor) -> list[Tensor]:
        return [torch.stack(streams) for streams in zip(output.pooler_output, *output.deepstack_features, strict=True)]

    def _encoded(self, visual: list[Tensor]) -> Any:
        main, *deeper = zip(*visual, strict=True)  # streams of pictures from pictures of streams
        return BaseModelOutputWithDeepstack(pooler_output=main, deepstack_features=[*map(list, deeper)])


@dataclass
class BaseModelOutputWithDeepstack(BaseModelOutputWithPooling):  # type: ignore[misc]
    """As `transformers` has it in each such family's own file."""

    deepstack_features: list[list[Tensor]] | None = None


class DeepFusion(Guarded):
    """For models that read pictures through cross-attention layers, each of which gets visual tokens of its own."""

    layered = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for place, layer in enumerate(self._attending):
            self._attention(layer).register_forward_pre_hook(_own_of(place), with_kwargs=True)

    @property
    def _image_id(self) -> int:  # type: ignore[override]
        return int(self.config.image_token_index)

    @property
    def _attending(self) -> Sequence[int]:  # type: ignore[override]
        return sorted(self.config.text_config.cross_attention_layers)

    def _attention(self, layer: int) -> nn.Module:
        return self.get_decoder().layers[layer].cross_attn  # type: ignore[no-any-return,operator]

    def _see(self, ids: Tensor, inputs: dict[str, Any]) -> Seen | None:
        if inputs.get("pixel_values") is None:
            return None
        named = {name: inputs[name] for name in ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")}
        features = self.model.vision_model(**named).last_hidden_state  # type: ignore[union-attr,operator]
        tokens = self.model.multi_modal_projector(features).flatten(2, 3)  # type: ignore[union-attr,operator]
        rows, pictures = tokens.shape[:2]
        valid = named["aspect_ratio_mask"].bool().repeat_interleave(features.shape[3], dim=2).flatten(0, 1)
        row_of = [row for row in range(rows) for _ in range(pictures)]
        real = (named["aspect_ratio_ids"] > 0).flatten().tolist()
        return Seen([*tokens.flatten(0, 1)], row_of, [*valid], real)

    def _shown(self, inputs: dict[str, Any], visual: list[Tensor], rows: int) -> dict[str, Any]:
        layers = max((len(tokens) for tokens in visual if tokens.ndim == 3), default=0)
        if layers:
            visual = [tokens if tokens.ndim == 3 else tokens.expand(layers, -1, -1) for tokens in visual]
        each = len(visual) // rows
        states = [torch.cat(visual[start : start + each], dim=-2) for start in range(0, len(visual), each)]
        pixels = dict.fromkeys(("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask"))
        return inputs | pixels | {"cross_attention_states": torch.stack(states)}

    def _of_pictures(self, scores: Tensor, ids: Tensor, seen: Seen) -> list[Tensor]:
        return [part for score in scores for part in score.chunk(len(seen.visual) // len(ids), dim=-1)]


def _own_of(place: int) -> Any:
    """A hook that leaves the cross-attention layer at ``place`` its own visual tokens of [B, layers, N_v, d]."""

    def choose(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        states = kwargs.get("cross_attention_states")
        if states is not None and states.ndim == 4:
            kwargs["cross_attention_states"] = states[:, place]
        return args, kwargs

    return choose
