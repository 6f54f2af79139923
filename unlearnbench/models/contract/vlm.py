"""The contract between a vision-language model and everything that trains, edits or asks it.

A picture becomes *visual tokens* in two steps: the vision tower gives features, the projector maps them to the
language model's width. Both steps are separate here because the first hardly ever changes and is computed once a
picture, unless the tower is trained.
All sequences are padded on the left, for training too, so that one preparation serves likelihoods and generation.
"""

import copy
import threading
import weakref
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from ...contracts.sample import Query, begun
from ...errors import DataError, UsageError
from ..pictures.cache import Picture, PictureCache, cache_room, open_picture
from ..pictures.projecting import projected
from .batch import Batch as Batch
from .batch import Stacked as Stacked
from .batch import VisualEdit as VisualEdit
from .batch import by_sample as by_sample
from .decoding import Samplings
from .explanation import Explanation
from .hidden import Positions
from .network import Network
from .prompt import Prompts
from .token_facts import TokenFacts, facts

_heard: ContextVar[list[Sequence["Query"]] | None] = ContextVar("heard", default=None)


@contextmanager
def hearing() -> Iterator[list[Sequence["Query"]]]:
    """What models are asked about meanwhile: the queries of each batch that is prepared."""
    heard: list[Sequence[Query]] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


@dataclass(frozen=True)
class PictureCounts:
    """What one picture comes to: ``visual`` tokens, ``patches`` in the vision tower, and numbers that are its features.

    ``streams``: how many times as many numbers as ``visual`` x d its tokens are.
    """

    visual: int
    patches: int
    features: int
    streams: int = 1


class VLM(Network):
    """A vision-language model: prepares, sees, attends, scores and generates.

    ``visual_edit``, when set, is applied to every batch's visual tokens before the language model sees them; that is
    how a method that leaves the weights alone takes part (`see_through`). ``dtype`` is that of the weights: float32 on
    a CPU, bfloat16 on a GPU. ``layered`` models take visual tokens for each of their `attention_layers` separately.
    """

    name: ClassVar[str]
    """The ``model_type`` of its models' ``config.json``, given by ``@family``."""
    reference: ClassVar[str | None] = None
    """Where the architecture is described, such as ``arXiv:2502.13923``."""
    processor_class: ClassVar[Any] = None
    """What prepares for it, with `from_pretrained`; None: the processor that the model's files name."""
    any_size: ClassVar[bool] = False
    """Whether pictures are taken at any size, so that a card bounds their area."""
    layered: bool = False
    shares_prefixes: bool = False
    """Whether rows of a batch that share a picture may read what they have in common once, where that is asked for."""
    features_along: ClassVar[int | None] = None
    """The dimension of features along which those of several pictures are joined for the projector; None: never."""
    static_cache: bool = False
    """Whether answers may be read on from a cache of fixed length, where shortcuts are asked for (``shared``)."""
    packs: bool = False
    """Whether questions about the same pictures may be read as one sequence, where that is asked for."""

    def __init_subclass__(cls, **named: Any) -> None:
        """What a family does in its own way, knowing nothing of several pictures or further caches, is kept to."""
        super().__init_subclass__(**named)
        for own, name, without in (
            ("project", "features_along", None),
            ("encode", "encode_all", VLM.encode_all),
            ("shares_prefixes", "static_cache", False),
        ):
            if own in vars(cls) and name not in vars(cls):
                setattr(cls, name, without)

    def __init__(self, model: nn.Module, processor: Any) -> None:
        """Take over a model; one without a ``processor`` (None) can be counted, not asked."""
        self.model: Any = model.eval().requires_grad_(False)
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.processor = processor
        self.tokenizer = processor and processor.tokenizer
        self.visual_edit: VisualEdit | None = None
        self.pictures = PictureCache(weakref.proxy(self), cache_room(self.device))
        self._own_thread, self._in_thread = threading.get_ident(), threading.local()
        self._answers: dict[str, list[int]] = {}

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts(self.processor)

    # ------------------------------------------------------------------------------------------------------ seeing
    @abstractmethod
    def preprocess(self, image: Image.Image, processor: Any) -> Any:
        """What ``processor``, this model's or a copy of it, makes of one picture; may be called in any thread."""

    @abstractmethod
    def encode(self, preprocessed: Any) -> Picture:
        """Run the vision tower and the projector on one picture, differentiable in their weights."""

    def encode_all(self, preprocessed: Sequence[Any]) -> list[Picture]:
        """The same for several, together where a family can: numbers then differ in their last digits."""
        return [self.encode(each) for each in preprocessed]

    def own_size(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height at which a picture of this size is read pixel by pixel, nothing of it scaled.

        None where the processor always cuts up and scales, so that there is none.
        """
        return None

    def pixel_values(self, preprocessed: Any) -> Tensor:
        """The numbers, of what `preprocess` returned, that the vision tower reads."""
        return preprocessed["pixel_values"]  # type: ignore[no-any-return]

    def with_pixel_values(self, preprocessed: Any, values: Tensor) -> Any:
        """The same with other numbers, for `encode`, which is differentiable in them too."""
        return type(preprocessed)({**preprocessed, "pixel_values": values})

    @abstractmethod
    def project(self, picture: Picture) -> Tensor:
        """Visual tokens [N_v, d] of a picture from its features, differentiable in the projector's weights."""

    def project_all(self, pictures: Sequence[Picture]) -> list[Tensor]:
        """`project` of each, in as few calls of the projector as `features_along` allows and is worth it."""
        return projected(pictures, self.project, self.features_along)

    @abstractmethod
    def count_picture(self, side: int, images: Mapping[str, Any], pixels: tuple[int, int]) -> PictureCounts:
        """What a picture of ``side`` x ``side`` pixels comes to, by the configuration alone: for ``plan --memory``.

        ``images``: the settings of the image processor, empty where its files are not at hand. ``pixels``: the least
        and the most that the card lets a picture have, for families that take `any_size`.
        """

    def see(self, path: Path) -> Picture:
        """The picture at ``path``, encoded at most once; raises `DataError` for a picture that cannot be read."""
        with torch.no_grad():
            return self.pictures.see(path)

    def look_ahead(self, paths: Iterable[Path]) -> None:
        """Have pictures read and preprocessed, in other threads, by the time that they are seen in this order."""
        self.pictures.look_ahead(paths)

    def let_go(self, paths: Iterable[Path]) -> None:
        """Forget pictures that will not be asked about soon; they are encoded anew if they are."""
        self.pictures.let_go(paths)

    def refresh(self, changed: Iterable[nn.Parameter] = ()) -> None:
        """Project every cached picture anew, or forget all where the tower is among what has ``changed``.

        To be called when weights have changed. An edit of visual tokens that keeps something of a model has a method
        ``refresh`` too, which is called.
        """
        tower = {id(parameter) for parameter in self.vision_parameters().values()}
        if any(id(parameter) in tower for parameter in changed):
            self.pictures.forget()
        with torch.no_grad():
            self.pictures.refresh()
        if renew := getattr(self.visual_edit, "refresh", None):
            renew()

    def pixels(self, path: Path) -> Any:
        """The picture at ``path``, read and preprocessed; in any thread, each with its own copy of the processor.

        Tokenizers, which are part of it, must not be used by two threads at once.
        """
        if threading.get_ident() == self._own_thread:
            return self._preprocessed(path, self.processor)
        if not hasattr(self._in_thread, "processor"):
            self._in_thread.processor = copy.deepcopy(self.processor)
        return self._preprocessed(path, self._in_thread.processor)

    def _preprocessed(self, path: Path, processor: Any) -> Any:
        image = open_picture(path)
        try:
            return self.preprocess(image, processor)
        except (ValueError, ArithmeticError, IndexError) as error:  # processors refuse shapes that they cannot take
            reason = " ".join(str(error).split())
            raise DataError(
                f"picture {path} ({image.width} x {image.height} pixels) cannot be prepared for a model of the family "
                f"{self.name} ({reason}): crop, pad or enlarge it"
            ) from None

    def look(self, batch: Batch) -> list[Tensor]:
        """The visual tokens that the language model sees: a batch's own, or what ``visual_edit`` makes of them.

        A tensor for each of ``batch.pictures``.
        """
        tokens = [picture.tokens for picture in batch.pictures]
        return self.visual_edit(batch, tokens) if self.visual_edit and tokens else tokens

    def see_through(self, edit: VisualEdit) -> None:
        """Let what the language model sees go through ``edit`` too, after all that it goes through already."""
        self.visual_edit = Stacked(self.visual_edit, edit) if self.visual_edit else edit

    @abstractmethod
    def layout(self, picture: Picture) -> Tensor:
        """Which visual token lies where in the picture: indices [rows, columns]; tokens without a place are absent."""

    def explain(self, batch: Batch) -> list[Explanation] | None:
        """What ``visual_edit`` does to each picture, by its method ``explain``; None where there is none.

        That is called as the edit is, with a batch and the visual tokens of its pictures, and gives JSON-able facts.
        """
        explain = getattr(self.visual_edit, "explain", None)
        return explain(batch, [picture.tokens for picture in batch.pictures]) if explain else None

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Meanwhile nothing about the model changes but what it is asked: a batch may leave the next what it needs."""
        yield

    # --------------------------------------------------------------------------------------------------- preparing
    def prepare(self, queries: Sequence[Query], answers: Sequence[str] | None = None) -> Batch:
        """Apply the chat template and tokenise, with ``answers`` and their end tokens if given.

        What an answer is made to begin with (`Asked`) stands in the prompt, in the tokens that an answer would have.
        """
        if answers is not None and len(answers) != len(queries):
            raise UsageError(f"{len(queries)} queries and {len(answers)} answers; give an answer for each")
        if (heard := _heard.get()) is not None:
            heard.append(queries)
        seen = {path: self.see(path) for query in queries for path in query.images}  # once, however small the cache
        pictures = [[seen[path] for path in query.images] for query in queries]
        rows = []
        for position, (query, own) in enumerate(zip(queries, pictures, strict=True)):
            prompt, question = self._prompts.prompt(query.text, own)
            if start := begun(query):
                prompt = [*prompt, *self._answer(start)[:-1]]
            answer = self._answer(answers[position]) if answers is not None else []
            ids, told = [*prompt, *answer], [False] * (len(prompt) - len(question) + len(answer))
            rows.append((ids, question + told, [False] * len(prompt) + [True] * len(answer)))
        longest = max(len(ids) for ids, *_ in rows)

        def left_padded(column: int, fill: int) -> Tensor:
            padded = [[fill] * (longest - len(row[column])) + list(row[column]) for row in rows]
            return torch.tensor(padded, device=self.device)

        input_ids = left_padded(0, self.tokenizer.pad_token_id)
        lengths = torch.tensor([len(ids) for ids, *_ in rows], device=self.device)
        attention_mask = torch.arange(longest, device=self.device) >= longest - lengths[:, None]
        return Batch(
            queries=list(queries),
            pictures=[picture for own in pictures for picture in own],
            row_of=[row for row, own in enumerate(pictures) for _ in own],
            input_ids=input_ids,
            attention_mask=attention_mask.long(),
            image_mask=input_ids == self.image_token_id,
            question_mask=left_padded(1, 0).bool(),
            answer_mask=left_padded(2, 0).bool(),
        )

    @property
    @abstractmethod
    def image_token_id(self) -> int:
        """The token id at whose places visual tokens enter."""

    def _answer(self, answer: str) -> list[int]:
        if answer not in self._answers:
            self._answers[answer] = [*self.tokenizer(answer, add_special_tokens=False).input_ids, self.end_token_id]
        return self._answers[answer]

    def answer_spans(self, answer: str) -> list[tuple[int, int]] | None:
        """Where each token of an answer begins and ends in its text; the end token is nowhere: at its end, of length 0.

        None where the tokenizer cannot tell.
        """
        if not self.tokenizer.is_fast:
            return None
        told = self.tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return [*((int(start), int(end)) for start, end in told), (len(answer), len(answer))]

    @property
    def end_token_id(self) -> int:
        """The token that closes an answer."""
        return int(self.tokenizer.eos_token_id)

    # ------------------------------------------------------------------------------------------ the language model
    @abstractmethod
    def attention(self, batch: Batch, visual: list[Tensor], layers: Sequence[int] | None = None) -> list[Tensor]:
        """How much the question's tokens attend to each visual token: per picture [layers, N_v], float32.

        The mean over heads and over the question's own tokens of the attention weights (arXiv 2510.07567, eq. 7), layer
        by layer in the order of their numbers; all `attention_layers` if ``layers`` is None. Raises `UsageError` for a
        layer that is none of these.
        """

    @abstractmethod
    def answer_logits(
        self, batch: Batch, visual: list[Tensor] | None = None, *, shared: bool = False, packed: bool = False
    ) -> Tensor:
        """Logits of every answer token [answer tokens of all samples, vocabulary], sample after sample; differentiable.

        Rows whose visual tokens are the very same tensor read them once, where the family can do so: with ``shared``
        keys and values of the first are kept for the others, which is for asking; with ``packed`` such rows are one
        sequence, which is for training. Numbers then differ in their last digits.
        """

    def spared(self, batch: Batch, visual: Sequence[Tensor]) -> float:
        """The share of the work of reading a batch that is spared where it is ``packed``; 0 where it cannot be."""
        return 0.0

    def answer_log_distributions(
        self, batch: Batch, visual: list[Tensor] | None = None, *, shared: bool = False, packed: bool = False
    ) -> tuple[Tensor, ...]:
        """Natural-log distribution of every answer token, one float32 tensor [tokens, vocabulary] a sample."""
        logits = self.answer_logits(batch, visual, shared=shared, packed=packed)
        return by_sample(batch, logits.float().log_softmax(-1))

    def answer_log_probabilities(
        self, batch: Batch, visual: list[Tensor] | None = None, *, shared: bool = False, packed: bool = False
    ) -> tuple[Tensor, ...]:
        """Natural-log probability of every answer token, one float32 tensor a sample."""
        distributions = self.answer_logits(batch, visual, shared=shared, packed=packed).float().log_softmax(-1)
        return by_sample(batch, distributions.gather(1, batch.input_ids[batch.answer_mask][:, None])[:, 0])

    def answer_token_facts(
        self, batch: Batch, visual: list[Tensor] | None = None, *, shared: bool = False
    ) -> tuple[TokenFacts, ...]:
        """Of every answer token its log-probability, whether it is the likeliest, and how all others' are spread."""
        logits = by_sample(batch, self.answer_logits(batch, visual, shared=shared))
        return tuple(map(facts, logits, by_sample(batch, batch.input_ids[batch.answer_mask])))

    @abstractmethod
    def hidden(
        self,
        batch: Batch,
        names: Sequence[str],
        positions: Positions = "all",
        visual: list[Tensor] | None = None,
        *,
        packed: bool = False,
    ) -> dict[str, tuple[Tensor, ...]]:
        """What the `blocks` of these ``names`` give out, with gradients, by their names; ``packed`` as above.

        Of a language model's block that is one tensor [tokens, d] a sample, of the tokens that ``positions`` mean, in
        their order. A block of the vision tower or the projector works on pictures: one tensor [tokens, width] a
        picture of the batch, in the block's own order of tokens; the picture is encoded for it anew. Raises
        `UsageError` for a name that is no block, and for positions that mean nothing.
        """

    @abstractmethod
    def patched(
        self,
        batch: Batch,
        states: Mapping[str, Sequence[Tensor]],
        positions: Positions = "predicting",
        visual: list[Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        """`answer_log_probabilities` where blocks of the language model give out ``states`` in place of their own.

        They are as `hidden` gives them, of another model for instance: by the block's name, one tensor [tokens, d] a
        sample, of the tokens that ``positions`` mean. Raises `UsageError` as `hidden` does.
        """

    @abstractmethod
    def generate(
        self,
        batch: Batch,
        visual: list[Tensor] | None = None,
        *,
        max_new_tokens: int,
        shared: bool = False,
        sampling: Samplings = None,
    ) -> list[str]:
        """Answers, special tokens removed; ``shared`` as above. Greedy, or drawn as ``sampling`` says.

        It is one rule for all queries, or one for each, of which none is greedy. What a model's own settings of
        generation say of drawing plays no part; what they say of tokens to suppress or not to repeat does.

        Raises `ModelError` where logits are not finite: there is no answer then, not an empty one.
        """
