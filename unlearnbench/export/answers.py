"""A question put to a cell's model as it was before its method and as it is after."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts.sample import Asked
from ..data.control_tokens import refuse
from ..errors import DataError, UsageError
from .kept import Kept


@dataclass(frozen=True)
class Said:
    """The model's answers; ``before`` is None where the method changed nothing of the model that it started from.

    ``explanation`` is what an edit of visual tokens did to the picture (`VLM.explain`), where there is one.
    """

    before: str | None
    after: str
    explanation: dict[str, Any] | None


def query(picture: Path | None, question: str) -> Asked:
    """What to ask, looked at before a model is loaded; raises `UsageError` for what cannot be asked."""
    if not question.strip():
        raise UsageError("the question is empty; ask something, in quotes")
    if picture is not None and not picture.is_file():
        raise UsageError(f"there is no picture {picture}; give a file, or - for text alone")
    try:
        refuse("the command", question=question)
    except DataError as error:
        raise UsageError(str(error)) from None
    return Asked(question, () if picture is None else (picture,))


def ask(kept: Kept, asked: Asked, device: str | None, max_new_tokens: int) -> Said:
    """Greedy answers of both models, one after the other in the same memory."""
    model, _ = kept.start(device)

    def answer() -> str:
        return model.generate(model.prepare([asked]), max_new_tokens=max_new_tokens)[0]

    before = answer()
    if kept.last:
        kept.last.edit(model).apply(model)
    after = answer() if kept.last else before
    told = model.explain(model.prepare([asked])) if asked.images else None
    return Said(before if kept.last else None, after, told[0] if told else None)
