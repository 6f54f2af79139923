"""What of a model is trained: weights themselves, or a low-rank adapter on linear layers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import PluginError, UsageError
from ..models.contract.edits import Adapter, Trained, Weights, quiet
from ..models.contract.hidden import Positions
from ..models.contract.vlm import VLM, Batch
from ..models.pictures.cache import Picture
from ..runtime import distributed
from .params import WORTHWHILE, FinetuneParams, LoRAParams
from .subset import weights_called

Anew = Literal["nothing", "projector", "tower"]


class Trainee(ABC):
    """A model in training: its trained ``parameters``, and the model that it was before.

    ``anew`` says what of seeing pictures depends on what is trained, so that visual tokens change from step to step:
    nothing, the projector's work alone, or the vision tower's too.
    """

    def __init__(self, model: VLM, parameters: Sequence[nn.Parameter], *, anew: Anew) -> None:
        self.model, self.parameters, self.anew = model, list(parameters), anew

    def remember(self) -> None:  # noqa: B027
        """Keep what `reference` needs; to be called before training. An adapter needs nothing."""

    @abstractmethod
    def reference(self) -> AbstractContextManager[None]:
        """The model as it was before training, without gradients."""

    @abstractmethod
    def edit(self, values: Sequence[Tensor] | None = None) -> Trained:
        """What training has changed; to be called after it, when the weights have their own precision again.

        With ``values`` of the trained parameters, such as an outcome's copies, what it had changed at that moment.
        """

    @torch.no_grad()
    def back_to(self, values: Sequence[Tensor]) -> None:
        """Give the trained parameters these values again, for another training to start there."""
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    def look(self, batch: Batch) -> list[Tensor]:
        """The visual tokens that the language model sees, with gradients into what of the way to them is trained."""
        match self.anew:
            case "nothing":
                return self.model.look(batch)
            case "projector":
                return project_once(self.model, batch)
            case "tower":
                return encode_once(self.model, batch)

    def packs(self, batch: Batch, visual: Sequence[Tensor]) -> bool:
        """Whether questions about the same pictures are to be read as one sequence: where that is `WORTHWHILE`."""
        return self.model.spared(batch, visual) >= WORTHWHILE

    def log_probabilities(self, batch: Batch) -> tuple[Tensor, ...]:
        """`VLM.answer_log_probabilities` with gradients into what is trained."""
        visual = self.look(batch)
        return self.model.answer_log_probabilities(batch, visual, packed=self.packs(batch, visual))

    def log_distributions(self, batch: Batch) -> tuple[Tensor, ...]:
        """`VLM.answer_log_distributions` with gradients into what is trained."""
        visual = self.look(batch)
        return self.model.answer_log_distributions(batch, visual, packed=self.packs(batch, visual))

    def hidden(self, batch: Batch, names: Sequence[str], positions: Positions = "all") -> dict[str, tuple[Tensor, ...]]:
        """`VLM.hidden` with gradients into what is trained; within `reference`, of the model before training."""
        visual = self.look(batch)
        return self.model.hidden(batch, names, positions, visual, packed=self.packs(batch, visual))


class OwnWeights(Trainee):
    """Some of the model's weights themselves. The reference is a copy of their first values."""

    def __init__(self, model: VLM, named: dict[str, nn.Parameter]) -> None:
        anew: Anew = "nothing"
        if named.keys() & model.projector_parameters().keys():
            anew = "projector"
        if named.keys() & model.vision_parameters().keys():
            anew = "tower"
        super().__init__(model, list(named.values()), anew=anew)
        self.named = named
        self._before: list[Tensor] | None = None

    def remember(self) -> None:
        """Keep the present values for `reference`; a method that needs none is spared the memory."""
        self._before = [parameter.detach().clone() for parameter in self.parameters]

    @contextmanager
    def reference(self) -> Iterator[None]:  # noqa: D102
        if self._before is None:
            raise PluginError(
                "the model before is asked for, and where its own weights are trained nothing keeps them: say "
                "needs_reference = True in the method's class, or call remember() before training"
            )
        now = [parameter.data for parameter in self.parameters]
        try:
            for parameter, value in zip(self.parameters, self._before, strict=True):
                parameter.data = value
            with torch.no_grad():
                yield
        finally:
            for parameter, value in zip(self.parameters, now, strict=True):
                parameter.data = value

    def edit(self, values: Sequence[Tensor] | None = None) -> Weights:
        """Put together tensor by tensor, and kept by the first process alone: the others know their shapes."""
        device = "cpu" if distributed.is_first() else "meta"
        given = self.parameters if values is None else values
        whole = ((name, distributed.full(value.detach())) for name, value in zip(self.named, given, strict=True))
        return Weights({name: weight.to(device, self.model.dtype, copy=True) for name, weight in whole})


class LowRank(Trainee):
    """An adapter beside frozen weights. The reference is the model with the adapter switched off: no second copy."""

    def __init__(self, model: VLM, peft: Any, *, anew: Anew) -> None:
        trained = [p for p in peft.parameters() if p.requires_grad]
        super().__init__(model, trained, anew=anew)
        self.peft = peft

    @contextmanager
    def reference(self) -> Iterator[None]:  # noqa: D102
        with torch.no_grad(), self.peft.disable_adapter():
            yield

    def edit(self, values: Sequence[Tensor] | None = None) -> Adapter:  # noqa: D102
        return Adapter(self.peft, values=values)


@contextmanager
def adapted(model: VLM, params: FinetuneParams, seed: int) -> Iterator[Trainee]:
    """Make ``model`` ready to be trained as ``params`` say; the adapter's first weights follow ``seed``."""
    torch.manual_seed(seed)  # dropout too
    if params.gradient_checkpointing:
        model.checkpoint_activations()
    if params.weights:  # whole in every process, as an adapter is
        named = weights_called(model, params.weights)
        with model.training(named, widened=params.optimiser == "adamw"):
            yield OwnWeights(model, named)
        return
    if params.full:
        wide = params.optimiser == "adamw"
        if wide and distributed.processes() > 1:
            _cut_up(model)
        named = {**model.language_parameters(), **model.projector_parameters()}
        with model.training(named, widened=wide):
            yield OwnWeights(model, named)
        return
    peft = low_rank(model, params.lora)
    model.model.train()
    try:
        with model.autocast():
            yield LowRank(model, peft, anew="projector" if params.lora.projector else "nothing")
    finally:
        model.model.eval()
        for name, parameter in peft.named_parameters():
            if parameter.requires_grad and "lora_" not in name:  # a projector that was trained in full
                parameter.data = parameter.data.to(model.dtype)
        model.refresh()


def _cut_up(model: VLM) -> None:
    """Leave each process its part of the language model, under the same names.

    The projector and the frozen tower stay whole, since they are also called by themselves. Raises `UsageError` where
    an edit of visual tokens looks at the model by itself, in passes that not all processes make.
    """
    if model.visual_edit is not None:
        raise UsageError(
            "weights that are cut up among processes cannot be trained behind an edit of visual tokens; train an "
            "adapter (full=false), or start one process"
        )
    apart = {*model.language_parameters()}
    kept = [parameter for name, parameter in model.model.named_parameters() if name not in apart]
    distributed.cut(model.model, list(model.language_model().layers), kept, model.dtype)  # type: ignore[arg-type]


def low_rank(model: VLM, lora: LoRAParams) -> Any:
    """Put an adapter into ``model``; returns PEFT's view of it.

    Layers are named in full: lists of last parts, as published baselines have them, reach the vision tower unseen.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=target_layers(model, lora),
        modules_to_save=projectors(model) if lora.projector == "full" else None,
    )
    with quiet():
        peft = get_peft_model(model.model, config)
    for parameter in peft.parameters():
        if (
            parameter.requires_grad
        ):  # PEFT does so for the adapter alone; the projector's copy has the model's precision
            parameter.data = parameter.data.float()
    return peft


def projectors(model: VLM) -> list[str]:
    """The names in the whole model of the modules that are its projector: one, or several side by side."""
    whole = model.projector()
    names = {id(module): name for name, module in model.model.named_modules()}
    return [names[id(whole)]] if id(whole) in names else [names[id(part)] for part in whole.children()]


def target_layers(model: VLM, lora: LoRAParams) -> list[str]:
    """The full names of the layers to adapt; raises `UsageError` for a target that names none."""
    language = model.language_linears()
    last = {name.rpartition(".")[2] for name in language}
    if strange := sorted(set(lora.targets) - last):
        raise UsageError(
            f"lora.targets: no layer of the language model is called {strange[0]!r}; "
            f"choose from {', '.join(sorted(last))}"
        )
    chosen = [name for name in language if not lora.targets or name.rpartition(".")[2] in lora.targets]
    return chosen + (model.projector_linears() if lora.projector is True else [])


def project_once(model: VLM, batch: Batch) -> list[Tensor]:
    """What the language model sees of a batch, with gradients into the projector; each picture projected once."""

    def made(paths: Sequence[Path], pictures: Sequence[Picture]) -> list[Picture]:
        anew = model.project_all(pictures)
        return [replace(picture, tokens=tokens) for picture, tokens in zip(pictures, anew, strict=True)]

    return _looked_at(model, batch, made)


def encode_once(model: VLM, batch: Batch) -> list[Tensor]:
    """What the language model sees of a batch, with gradients into tower and projector; each picture encoded once."""
    return _looked_at(model, batch, lambda paths, pictures: model.pictures.see_anew(paths))


def _looked_at(
    model: VLM, batch: Batch, made: Callable[[Sequence[Path], Sequence[Picture]], Sequence[Picture]]
) -> list[Tensor]:
    """`VLM.look` at pictures as they are ``made`` anew, so that an edit of visual tokens is given these."""
    seen = [*zip(batch.images, batch.pictures, strict=True)]
    # From the last, and so in the order of their last rows: gradients are added up in it, to the last digit.
    last = {id(picture): (path, picture) for path, picture in reversed(seen)}
    distinct = dict(reversed(last.items()))
    paths, pictures = zip(*distinct.values(), strict=True) if distinct else ((), ())
    anew = dict(zip(distinct, made(paths, pictures), strict=True))
    return model.look(replace(batch, pictures=[anew[id(picture)] for picture in batch.pictures]))
