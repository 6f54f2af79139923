"""A question and its pictures as the tokens that a chat template and a processor make of them."""

from collections.abc import Collection, Sequence
from typing import Any

from ...errors import ModelError
from ..pictures.cache import Picture

Frame = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids of the text that a family puts before and behind a picture; tokenised anew with what is around it."""

MARK = "\N{REFERENCE MARK}"
"""A question that no template has in it: where it stands, the question begins."""


class Prompts:
    """The prompts that ``processor`` makes, those with the same text in them tokenised once."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self._known: dict[tuple[str, tuple[Frame, ...]], tuple[list[int], list[bool], list[int]]] = {}
        self._starts: dict[tuple[Frame, ...], int] = {}
        added = self.tokenizer.added_tokens_decoder
        self._special = {*self.tokenizer.all_special_ids, *(id_ for id_, token in added.items() if token.special)}

    def prompt(self, question: str, pictures: Sequence[Picture]) -> tuple[list[int], list[bool]]:
        """Token ids of a prompt with ``pictures`` before the ``question``, and which are the question's own."""
        parts = [framed(picture.ids, self._special) for picture in pictures]
        key = question, tuple(frame for frame, _ in parts)
        if key not in self._known:
            self._known[key] = self._tokenised(*key)
        template, its, places = self._known[key]
        ids, inside, behind = list[int](), list[bool](), 0
        for place, (_, core) in zip(places, parts, strict=True):
            ids += [*template[behind:place], *core]
            inside += [*its[behind:place], *[False] * len(core)]
            behind = place + 1
        return [*ids, *template[behind:]], [*inside, *its[behind:]]

    def _tokenised(self, question: str, frames: tuple[Frame, ...]) -> tuple[list[int], list[bool], list[int]]:
        """Ids with one token for each picture, which are the question's own, and the places of the pictures'.

        All text is tokenised in one, as processors do: with several pictures, the text between two is one text. What
        begins every text is added if the template has not done so.
        """
        text, begins = self._text(question, frames), self.tokenizer.bos_token
        if frames not in self._starts:
            self._starts[frames] = self._text(MARK, frames).index(MARK)
        start = text.index(question.strip(), self._starts[frames])
        stop = start + len(question.strip())
        bare = begins is None or not text.startswith(begins)
        encoded = self.tokenizer(text, add_special_tokens=bare, return_offsets_mapping=True)
        inside = [first < stop and last > start for first, last in encoded["offset_mapping"]]
        stands = self.tokenizer.convert_tokens_to_ids(self.processor.image_token)
        places = [place for place, id_ in enumerate(encoded.input_ids) if id_ == stands]
        return encoded.input_ids, inside, places[: len(frames)]  # a question may speak of the token, too

    def _text(self, question: str, frames: Sequence[Frame]) -> str:
        """The template's text, with what frames its pictures around the token of each."""
        token, messages = self.processor.image_token, chat(question, len(frames))
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        before, *rest = text.split(token, maxsplit=len(frames))
        if len(rest) < len(frames):
            raise ModelError(
                f"the model's chat template shows {len(rest)} of a query's {len(frames)} pictures (by {token!r}): "
                "give a model whose template shows all, or fewer pictures"
            )
        parts = [
            f"{self._decoded(left)}{token}{self._decoded(right)}{after}"
            for (left, right), after in zip(frames, rest, strict=True)
        ]
        return "".join([before, *parts])

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)) if ids else ""


def chat(question: str, pictures: int = 1) -> list[dict[str, Any]]:
    """A question about pictures as chat templates take it: one turn of the user's, the pictures first."""
    return [{"role": "user", "content": [*[{"type": "image"}] * pictures, {"type": "text", "text": question}]}]


def framed(ids: Sequence[int], special: Collection[int]) -> tuple[Frame, Sequence[int]]:
    """What stands for a picture, parted into the text around it, where there is any, and what is no text."""
    places = [place for place, id_ in enumerate(ids) if id_ in special]
    first, last = (places[0], places[-1] + 1) if places else (0, len(ids))
    return (tuple(ids[:first]), tuple(ids[last:])), ids[first:last]
