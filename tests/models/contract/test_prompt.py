"""Prompts are tokenised as processors tokenise them, also where text around pictures runs together."""

from typing import Any

import pytest
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.models.tiny_families import FAMILIES, TURN
from unlearnbench.errors import ModelError
from unlearnbench.models.contract.prompt import Prompts

CORPUS = ["\n\n\n\nWhat is in the picture?\n\n", "Who is it?\n", "\n\nyes\n\n\n\n", "in the picture what is"]
TEXTS = ["What is it?", "  Who is the user of the model?  ", "end", "user", "\nWhat?\n", "<user>"]


def gemma() -> Any:
    """A processor that puts lines around a picture, with a tokenizer that knows several lines as one token."""
    _, processor = FAMILIES["gemma3"]()
    special = [*processor.tokenizer.added_tokens_decoder.values()]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    names = [str(token) for token in special]
    trained.train_from_iterator(
        CORPUS * 20, trainers.BpeTrainer(vocab_size=400, special_tokens=names, initial_alphabet=alphabet)
    )
    processor.tokenizer._tokenizer = trained
    return processor


def llava() -> Any:
    """A processor whose tokenizer marks the beginning of a text, of that alone, by two tokens, as Llama's does."""
    _, processor = FAMILIES["llava"]()
    trained = Tokenizer(models.BPE(byte_fallback=False, unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    trained.decoder = decoders.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "<pad>", "<user>", "<end>", "<model>", "<image>"]
    trained.train_from_iterator([*CORPUS, *TEXTS] * 20, trainers.BpeTrainer(vocab_size=200, special_tokens=special))
    trained.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token="<s>", eos_token="<end>", pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=special[3:],
    )  # fmt: skip
    tokenizer.chat_template = processor.chat_template = "Talk: " + TURN.replace("IMAGE", "<image>\n")
    processor.tokenizer = tokenizer
    processor.image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    return processor


class Shown:
    """What stands for a picture in a prompt."""

    def __init__(self, processor: Any, image: Image.Image) -> None:
        options = {"return_tensors": "pt", "add_special_tokens": False}
        self.ids = processor(text=[processor.image_token], images=[[image]], **options)["input_ids"][0].tolist()


def beginning() -> Any:
    """The same where the template has already begun the text."""
    processor = llava()
    processor.chat_template = processor.tokenizer.chat_template = f"<s>{processor.chat_template}"
    return processor


@pytest.mark.parametrize("family", [gemma, llava, beginning])
@pytest.mark.parametrize("count", range(4))
def test_prompts_are_the_processors(family: Any, count: int) -> None:
    processor, image = family(), Image.new("RGB", (56, 56), "red")
    prompts, pictures = Prompts(processor), [Shown(processor, image)] * count
    for text in TEXTS:
        content = [*[{"type": "image"}] * count, {"type": "text", "text": text}]
        whole = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        images = [[image] * count] if count else None
        bare = not whole.startswith("<s>")
        expected = processor(text=[whole], images=images, return_tensors="pt", add_special_tokens=bare)
        for _ in range(2):  # the second time from what is known
            ids, inside = prompts.prompt(text, pictures)  # type: ignore[arg-type]
            assert ids == expected["input_ids"][0].tolist()
        said = processor.tokenizer.decode([id_ for id_, its in zip(ids, inside, strict=True) if its])
        said, asked = ("".join(each.replace("▁", " ").split()) for each in (said, text))
        assert asked in said
        assert len(said) <= len(asked) + 4  # a token may reach over the question's end


def test_a_template_that_shows_too_few_pictures_is_an_error() -> None:
    processor = llava()
    processor.chat_template = "<image>{{ messages[0]['content'][-1]['text'] }}"
    shown = Shown(processor, Image.new("RGB", (56, 56), "red"))
    with pytest.raises(ModelError, match=r"template shows 1 of a query's 2 pictures \(by '<image>'\)"):
        Prompts(processor).prompt("What?", [shown, shown])  # type: ignore[list-item]
