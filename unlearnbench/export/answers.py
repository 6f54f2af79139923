"""A question put to a cell's model as it was before its method and as it is after."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..contracts.sample import Asked
from ..data.control_tokens import refuse
from ..data.pictures import open_picture
from ..errors import DataError, UsageError
from .kept import Kept

if TYPE_CHECKING:
    from ..models.contract.explanation import Explanation


@dataclass(frozen=True)
class Said:
    """The model's answers; ``before`` is None where the method changed nothing of the model that it started from.

    ``explanation`` is what an edit of visual tokens did to the picture (`VLM.explain`), where there is one.
    """

    before: str | None
    after: str
    explanation: "Explanation | None"


def query(picture: str | None, question: str) -> Asked:
    """What to ask, looked at before a model is loaded.

    Raises `UsageError` for what cannot be asked, `DataError` for a file that is no picture.
    """
    if not question.strip():
        raise UsageError("the question is empty; ask something, in quotes")
    if picture is not None:
        if not picture or not Path(picture).is_file():
            what = "it is a folder" if picture and Path(picture).is_dir() else "there is no such file"
            raise UsageError(f"PICTURE {picture or repr(picture)}: {what}; give a picture's file, or - for text alone")
        open_picture(Path(picture)).close()
    try:
        refuse("the command", question=question)
    except DataError as error:
        raise UsageError(str(error)) from None
    return Asked(question, () if picture is None else (Path(picture),))


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
    return Said(before if kept.last else None, after, _one(told, kept) if told is not None else None)


def _one(told: "list[Explanation]", kept: Kept) -> "Explanation":
    from ..models.contract.explanation import checked

    return checked(told, 1, kept.row.method.name)[0]
