"""Text of any script as the metrics read it: normalised, and cut into words where a reader would."""

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regex import Pattern
    from rouge_score.tokenizers import DefaultTokenizer

_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b\u2032\u02bc\u02b9\u00b4\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201f\u2033\u00ab\u00bb\uff02", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-"),
    }
)
"""Typographic signs as a keyboard has them: a blood type "b\u2212" is "b-"."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30fc"
"""Scripts that put no space between words; the last is the sign of length among Japanese ones."""

_OPTIONAL = frozenset(
    each
    for first, last in (
        (0x0591, 0x05C7),
        (0x0610, 0x061A),
        (0x0640, 0x0640),
        (0x064B, 0x0652),
        (0x0670, 0x0670),
        (0xFE00, 0xFE0F),
    )
    for each in map(chr, range(first, last + 1))
    if unicodedata.category(each) in ("Mn", "Lm")
)
"""What is written or left out at will: points of Hebrew, vowel signs and stretching of Arabic, styles of emoji."""

_DOTLESS = re.compile("i\u0307+|\u0131\u0307*")
"""What small letters become of Turkish capitals, or stay."""


def normalised(text: str) -> str:
    """``text`` in the one form of those that readers take for the same; ASCII as it is.

    NFKC rather than NFC: it joins accents to their letters and takes full-width letters and digits, ligatures and
    no-break spaces for the plain ones, as a fact that is told in such signs has been told. So digits of any script are
    those of ASCII. Signs that show nothing (soft hyphens, zero-width spaces) go, as do vowel signs that many leave out,
    and apostrophes, quotes and hyphens become those of ASCII.
    """
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFC", text).translate(_ALIKE)).translate(_ALIKE)
    return unicodedata.normalize("NFKC", "".join(map(_plain, plain)))


def _plain(character: str) -> str:
    """A character as it counts: nothing of one that shows nothing, and of a digit the one of ASCII."""
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    return "" if kind == "Cf" or character in _OPTIONAL else character


def folded(text: str) -> str:
    """``text`` normalised, without the difference between capital and small letters.

    Nor that between Turkish i with and without a dot, which no rule for all languages keeps over capitals.
    """
    if text.isascii():
        return text.lower()
    return normalised(_DOTLESS.sub("i", normalised(text).casefold()))


def words(text: str) -> list[str]:
    """The words of ``text``, folded; in scripts that put no space between words, its characters with their marks."""
    return [str(each) for each in _word().findall(folded(text))]


def holds(text: str, keyword: str) -> bool:
    """Whether ``keyword`` stands alone in ``text``, both folded: no letter, mark or digit goes on beside it.

    Between the characters of a script without spaces nobody can tell where words end: there it may stand anywhere.
    Korean words take endings ("김민준입니다"): its letters may follow.
    """
    first, last = not _unspaced(keyword[:1]), not _unspaced(keyword[-1:])
    place = text.find(keyword)
    while place >= 0:
        stop = place + len(keyword)
        before, after = text[max(0, place - 1) : place], text[stop : stop + 1]
        goes_on = last and _goes_on(after) and not _korean(after)
        if not ((first and _goes_on(before)) or goes_on or _kind(after) == "M"):
            return True
        place = text.find(keyword, place + 1)
    return False


def _goes_on(beside: str) -> bool:
    """Whether a character, or nothing, would be of the same word."""
    return _kind(beside) in ("L", "M", "N") and not _unspaced(beside)


def _kind(character: str) -> str:
    return unicodedata.category(character)[0] if character else ""


def _korean(character: str) -> bool:
    return unicodedata.name(character, "").startswith("HANGUL")


@cache
def _unspaced(character: str) -> bool:
    import regex

    return regex.match(rf"[{_UNSPACED}]", character) is not None


@cache
def _word() -> "Pattern[str]":
    import regex

    return regex.compile(rf"[{_UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+", regex.V1)


class Tokenizer:
    """`words` for ``rouge_score``, those of English stemmed as there; of ASCII text exactly its own tokens."""

    def tokenize(self, text: str) -> list[str]:
        """The tokens of ``text``."""
        published = _published()
        if text.isascii():
            return list(published.tokenize(text))
        return [token for word in words(text) for token in (published.tokenize(word) if word.isascii() else [word])]


@cache
def _published() -> "DefaultTokenizer":
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


def blind(text: str) -> bool:
    """Whether ROUGE as published sees no word in a text that has some: its words are of ASCII letters and digits."""
    return not text.isascii() and not _published().tokenize(text) and bool(words(text))
