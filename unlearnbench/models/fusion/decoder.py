"""What both kinds of models share: one way through `transformers` to attention, likelihoods and generated answers."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LogitsProcessorList

from ...contracts.sample import Sampling
from ...errors import UsageError
from ..contract import hidden
from ..contract.attention import AttentionReader, reading
from ..contract.decoding import Drawn, Samplings, Watch, each
from ..contract.hidden import Positions
from ..contract.network import blocks_called, named_within
from ..contract.vlm import VLM, Batch, by_sample
from . import generation, prefix
from .packed import can_pack, pack, spared_of
from .steps import Decoding


@dataclass
class Pass:
    """Some ``rows`` of a batch that are read in one pass: as a batch, with their visual tokens.

    ``shares`` tells whether some begin as others do, so that beginnings are read once and kept; ``packs``
    whether those that begin alike are read as one sequence.
    """

    rows: list[int]
    batch: Batch
    visual: list[Tensor]
    shares: bool = False
    packs: bool = False


@dataclass
class Unchanging:
    """A while in which nothing about a model changes but what it is asked; what is kept of a batch for the next."""

    decoding: Decoding | None = None
    over: bool = False


class DecoderVLM(VLM):
    """A `transformers` model that answers from a decoder; subclasses say how visual tokens get there.

    ``shares_prefixes`` and ``static_cache`` are False for families that cannot, and for a model whose user wants no
    shortcut; ``packs`` for families that cannot.
    """

    shares_prefixes: bool = True
    static_cache: bool = True
    packs: bool = True
    unchanging: Unchanging | None = None

    def language_model(self) -> nn.Module:  # noqa: D102
        return self.model.get_decoder()  # type: ignore[no-any-return]

    def language_parameters(self) -> dict[str, nn.Parameter]:  # noqa: D102
        head = named_within(self.model, self.model.get_output_embeddings())
        return {**named_within(self.model, self.language_model()), **head}

    @abstractmethod
    def _inputs(self, batch: Batch, visual: list[Tensor]) -> dict[str, Any]:
        """All that `forward` and `generate` of the model take of a batch and its visual tokens."""

    @abstractmethod
    def _attention_module(self, layer: int) -> nn.Module:
        """The module in which text attends to visual tokens in one of `attention_layers`."""

    @abstractmethod
    def _visual_part(self, scores: Tensor, batch: Batch) -> list[Tensor]:
        """Of attention to all keys [B, layers, keys], that to visual tokens: per picture [layers, N_v]."""

    def _alike(self, batch: Batch) -> list[list[int]]:
        """The rows of a batch in groups that the model can read in one pass: all of them, if not said otherwise."""
        return [[*range(len(batch))]]

    def _positions(self, batch: Batch) -> Tensor:
        """Where the tokens of a batch stand: [B, L], or what else the model takes as ``position_ids``."""
        return (batch.attention_mask.cumsum(1) - 1).clamp_min(0)

    def _seen_both_ways(self, batch: Batch) -> Tensor | bool:
        """Which tokens see others that come after them [B, L, L], in families that let some."""
        return False

    def spared(self, batch: Batch, visual: Sequence[Tensor]) -> float:  # noqa: D102
        return spared_of(batch, visual) if self._may_pack else 0.0

    @property
    def _is_cut_up(self) -> bool:
        return any(isinstance(parameter, DTensor) for parameter in self.model.parameters())

    @property
    def _may_pack(self) -> bool:
        return self.packs and can_pack(self)

    def _groups(
        self, batch: Batch, visual: list[Tensor], *, sharing: Sequence[int] = (), packed: bool = False
    ) -> list[Pass]:
        together = {*sharing}
        parts = [
            [row for row in rows if (row in together) == its] for rows in self._alike(batch) for its in (True, False)
        ]
        parts = [rows for rows in parts if rows]
        packs = packed and self._may_pack
        if len(parts) == 1:
            return [Pass(parts[0], batch, visual, bool(together), packs)]
        return [
            Pass(rows, batch.take(rows), [visual[place] for place in batch.places(rows)], rows[0] in together, packs)
            for rows in parts
        ]

    def attention(self, batch: Batch, visual: list[Tensor], layers: Sequence[int] | None = None) -> list[Tensor]:  # noqa: D102
        wanted = self._checked(layers)
        found: dict[int, Tensor] = {}
        for rows in self._alike(batch):
            if seeing := [row for row in rows if batch.queries[row].images]:
                places = batch.places(seeing)
                scores = self._attention(batch.take(seeing), [visual[place] for place in places], wanted)
                found |= zip(places, scores, strict=True)
        return [found[place] for place in range(len(visual))]

    def _attention(self, batch: Batch, visual: list[Tensor], wanted: Sequence[int]) -> list[Tensor]:
        """`attention` of rows that are read in one pass and have a picture each."""
        rows = pad_sequence([row.nonzero()[:, 0] for row in batch.question_mask], batch_first=True, padding_value=-1)
        reader = AttentionReader([(layer, self._attention_module(layer)) for layer in wanted], rows)
        with torch.no_grad(), reading(self.model, reader):
            self._forward(batch, visual, logits_to_keep=1)
        return self._visual_part(torch.stack([reader.scores[layer] for layer in wanted], dim=1), batch)

    def _checked(self, layers: Sequence[int] | None) -> list[int]:
        """The numbers of ``layers``, negative ones counted from the end."""
        own = self.attention_layers
        if layers is None:
            return list(own)
        for layer in layers:
            if layer not in own and not -len(own) <= layer < 0:
                known = ", ".join(map(str, own))
                raise UsageError(f"layer {layer} does not attend to visual tokens; choose from {known}")
        return sorted({layer if layer >= 0 else own[layer] for layer in layers})

    def answer_logits(  # noqa: D102
        self, batch: Batch, visual: list[Tensor] | None = None, *, shared: bool = False, packed: bool = False
    ) -> Tensor:
        seen = self.look(batch) if visual is None else visual
        sharing = prefix.shareable(self, batch, seen) if shared and self.shares_prefixes else ()
        groups = self._groups(batch, seen, sharing=sharing, packed=packed)
        if len(groups) == 1:
            return self._logits(groups[0])
        found: dict[int, Tensor] = {}
        for group in groups:
            found |= zip(group.rows, by_sample(group.batch, self._logits(group)), strict=True)
        return torch.cat([found[row] for row in range(len(batch))])

    def _logits(self, group: Pass) -> Tensor:
        if group.shares:
            return prefix.answer_logits(self, group.batch, group.visual)
        predicting = group.batch.answer_mask.roll(-1, dims=1)  # the token before each answer token
        if group.packs:
            return pack(self, group.batch, group.visual).logits(self, predicting)
        return self._forward(group.batch, group.visual, logits_to_keep=predicting).logits  # type: ignore[no-any-return]

    def hidden(  # noqa: D102
        self,
        batch: Batch,
        names: Sequence[str],
        positions: Positions = "all",
        visual: list[Tensor] | None = None,
        *,
        packed: bool = False,
    ) -> dict[str, tuple[Tensor, ...]]:
        of_tokens, of_pictures = hidden.divided(blocks_called(self.blocks(), names), positions)
        found = hidden.of_pictures(self, batch, of_pictures)
        if of_tokens:
            seen = self.look(batch) if visual is None else visual
            marked = hidden.mask(batch, positions)
            own = [mask[real] for mask, real in zip(marked, batch.attention_mask.bool(), strict=True)]
            for name, states in self._states(batch, seen, of_tokens, packs=packed).items():
                found[name] = tuple(state[its] for state, its in zip(states, own, strict=True))
        return {name: found[name] for name in names}

    def patched(  # noqa: D102
        self,
        batch: Batch,
        states: Mapping[str, Sequence[Tensor]],
        positions: Positions = "predicting",
        visual: list[Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        modules = blocks_called(self.blocks(), [*states])
        hidden.divided(modules, positions)
        seen, marked = self.look(batch) if visual is None else visual, hidden.mask(batch, positions)
        found: dict[int, Tensor] = {}
        for group in self._groups(batch, seen):
            own = {name: torch.cat([of[row] for row in group.rows]) for name, of in states.items()}
            with hidden.replaced(modules, own, marked[group.rows]):
                logs = self._logits(group).float().log_softmax(-1)
            said = logs.gather(1, group.batch.input_ids[group.batch.answer_mask][:, None])[:, 0]
            found |= zip(group.rows, by_sample(group.batch, said), strict=True)
        return tuple(found[row] for row in range(len(batch)))

    def _states(
        self, batch: Batch, visual: list[Tensor], modules: dict[str, nn.Module], *, packs: bool
    ) -> dict[str, list[Tensor]]:
        """What the language model's ``modules`` give out of each row's real tokens."""
        parts: dict[int, dict[str, Tensor]] = {}
        for group in self._groups(batch, visual, packed=packs):
            real = group.batch.attention_mask.bool()
            with hidden.outputs(modules, until=self._not_needed(modules)) as read:
                if group.packs:
                    together = pack(self, group.batch, group.visual)
                    together.forward(self, logits_to_keep=1)
                else:
                    self._forward(group.batch, group.visual, logits_to_keep=1)
            hidden.refuse_skipped(name for name, passes in read.items() if not passes)
            for name, (states,) in read.items():
                rows = states.flatten(0, 1)[together.places] if group.packs else states
                for place, row in enumerate(group.rows):
                    parts.setdefault(row, {})[name] = rows[place][real[place]]
        return {name: [parts[row][name] for row in range(len(batch))] for name in modules}

    def _not_needed(self, modules: dict[str, nn.Module]) -> nn.Module | None:
        """The block from which on a pass may be broken off; none where weights are cut up: such passes must end."""
        if self._is_cut_up:
            return None
        return hidden.after(list(self.language_model().layers), modules)  # type: ignore[arg-type]

    @torch.no_grad()
    def generate(  # noqa: D102
        self,
        batch: Batch,
        visual: list[Tensor] | None = None,
        *,
        max_new_tokens: int,
        shared: bool = False,
        sampling: Samplings = None,
    ) -> list[str]:
        rules = each(sampling, len(batch))
        seen = self.look(batch) if visual is None else visual
        may = shared and self.static_cache and generation.can_generate(self)
        said: dict[int, str] = {}
        sharing = prefix.going_on(self, batch, seen) if may and self.shares_prefixes else ()
        for group in self._groups(batch, seen, sharing=sharing):
            own = [rules[row] for row in group.rows]
            if may:
                tokens = self._quickly(group, max_new_tokens, own)
            else:
                tokens = self._plainly(group.batch, group.visual, max_new_tokens, own)
            said |= zip(group.rows, self._read(tokens), strict=True)
        return [said[row] for row in range(len(batch))]

    def _quickly(self, group: Pass, max_new_tokens: int, samplings: Sequence[Sampling | None]) -> Tensor:
        """As `_plainly`, from a static cache; where that fails nothing is kept, as memory may have run out."""
        try:
            return generation.generate(self, group.batch, group.visual, max_new_tokens, samplings, shared=group.shares)
        except BaseException:
            if self.unchanging:
                self.unchanging.decoding = None
            raise

    @contextmanager
    def unchanged(self) -> Iterator[None]:  # noqa: D102
        self.unchanging = now = Unchanging()
        try:
            yield
        finally:
            now.decoding, now.over, self.unchanging = None, True, None

    def may_record(self) -> bool:
        """Whether a step may be recorded: on a GPU, where weights lie in one piece and no strange hook is called.

        A recording goes by what it found; a hook that is neither the family's nor of `transformers` may not.
        """
        if self.device.type != "cuda" or self._is_cut_up:
            return False
        own = {kind.__module__ for kind in type(self).__mro__}
        hooks = (
            getattr(hook, "__module__", "")
            for module in self.model.modules()
            for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
        )
        return all(name in own or name.startswith("transformers.") for name in hooks)

    def _plainly(
        self, batch: Batch, visual: list[Tensor], max_new_tokens: int, samplings: Sequence[Sampling | None]
    ) -> Tensor:
        """Tokens after the prompts, every prompt read from its start; raises `ModelError` as `generate` does."""
        watch, drawn = Watch(), Drawn(batch.queries, samplings, self.device)
        output = self.model.generate(
            **self._inputs(batch, visual),
            logits_processor=LogitsProcessorList([watch, drawn]),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        watch.check(batch.queries)
        return output[:, batch.input_ids.shape[1] :]  # type: ignore[no-any-return]

    def _read(self, said: Tensor) -> list[str]:
        return [text.strip() for text in self.tokenizer.batch_decode(said, skip_special_tokens=True)]

    def _further(self, batch: Batch, mask: Tensor) -> dict[str, Any]:
        """What the family's `forward` takes besides of further tokens of ``batch``, of which ``mask`` [B, n] are real.

        Those are tokens after its last pictures, read apart from their prompts' beginnings.
        """
        return {}

    def _forward(self, batch: Batch, visual: list[Tensor], **options: Any) -> Any:
        return self.model(**self._inputs(batch, visual), use_cache=False, **options)
