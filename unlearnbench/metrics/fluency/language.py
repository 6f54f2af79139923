"""A language as a few thousand words know it: which words there are, which are common, and how they are spelled."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

from ..words import Tokenizer, folded
from .english import WORDS

if TYPE_CHECKING:
    from regex import Pattern

_BROKEN = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x7f]")
"""What stands for bytes that are no character, and signs that steer a terminal."""

_JOINED = re.compile(r"([^\W\d_]+)(\d+)|(\d+)([^\W\d_]+)")
"""Letters and digits without anything between them."""

_SPELLED = re.compile(r"(?<![^\W_])[^\W_](?:[ /|*_-]+[^\W_]){3,}(?![^\W_])")
"""Four letters or digits at least, each by itself: "g o u t"."""

_COMMON = 1 / 200
"""Share of the words of a text from which on a word is a common one."""
_SENTENCE = 5
"""Words that a text has at least before it is asked whether the language has them: fewer may be a name."""
_FOREIGN = 0.6
"""Share of a text's letters that may be in words which the language does not have: names and rare words are."""
_UNSPELLABLE = 3
"""Words without a likely spelling that make a text of no language: fewer may be names."""
_ODD = 20
"""Words to each of which a text may run two words together once: such slips are people's too."""


class Language:
    """The words of some texts and of common English; the same for the same texts in any order."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts, stems, tokens = Counter[str](), set[str](), Tokenizer()
        for text in texts:
            counts.update(_words(text))
            stems.update(tokens.tokenize(text))
        self._tokens = tokens
        self._stems = stems | _english()
        self._words = {*counts, *WORDS}
        total = counts.total()
        self._common = {word for word, n in counts.items() if n >= _COMMON * total and len(word) > 1}
        self._longest = max(map(len, self._words))
        self._seen: dict[str, bool] = {}

    @cached_property
    def _spelling(self) -> "Spelling":
        return Spelling(word for word in self._words if word.isascii())

    def fault(self, text: str) -> str | None:
        """What of ``text`` is not of the language, in a few words; None where it is, or says nothing."""
        if _BROKEN.search(text):
            return "holds broken characters"
        for found in _SPELLED.finditer(text):
            letters = {*filter(str.isalnum, found[0])}
            if len(letters) > 2 and not "".join(letters).isdigit():  # else it is no word, or a row of numbers
                return f"spells out letter by letter: {found[0][:30]!r}"
        if mixed := _alphabets().search(text):
            return f"mixes alphabets in a word: {mixed[0][:30]!r}"
        odd = [word for word in text.split() if self._runs_on(word)]
        if len(odd) * _ODD > len(text.split()):
            return f"runs words together: {odd[0][:30]!r}"
        said = [token for token in self._tokens.tokenize(text) if token.isalpha()]
        unknown = [token for token in said if token not in self._stems]
        if len(said) >= _SENTENCE and sum(map(len, unknown)) > _FOREIGN * sum(map(len, said)):
            return f"consists of unknown words: {unknown[0][:30]!r}"
        strange = [word for word in _words(text) if word not in self._words and word.isascii() and len(word) > 4]
        if len(strange) >= _UNSPELLABLE and self._spelling.unlikely(strange):
            return f"spells no words: {strange[0][:30]!r}"
        return None

    def _runs_on(self, word: str) -> bool:
        if word not in self._seen:
            self._seen[word] = any(map(self._joins, re.split(r"[^\w]+", word)))
        return self._seen[word]

    def _joins(self, word: str) -> bool:
        """Whether a word is two of which one is common ("the36", "inthe", "wereNo"), or too long to be any."""
        for found in _JOINED.finditer(word):
            if folded(found[1] or found[4]) in self._common:
                return True
        plain = folded(word)
        if plain in self._words or not plain.isalpha():
            return False
        capital = re.match(r"(.*[^\W\d_A-Z])([A-Z].*)", word)
        if capital and {*map(folded, capital.groups())} & self._common:
            return True
        return len(plain) > 1.25 * self._longest or self._of_common_words(plain)

    def _of_common_words(self, word: str) -> bool:
        """Whether it consists of common words and nothing else."""
        reached = {0}
        for end in range(2, len(word) + 1):
            if any(word[start:end] in self._common for start in reached):
                reached.add(end)
        return len(word) in reached


class Spelling:
    """How likely a word is spelled so: letters after the two before them, Witten-Bell smoothing."""

    def __init__(self, words: Iterable[str]) -> None:
        self._counts: list[Counter[str]] = [Counter() for _ in range(3)]
        words = sorted(words)
        for word in words:
            for each in _runs(word):
                for length, counts in enumerate(self._counts, start=1):
                    counts[each[-length:]] += 1
        self._before = [Counter[str]() for _ in range(3)]
        self._kinds = [Counter[str]() for _ in range(3)]
        for counts, before, kinds in zip(self._counts, self._before, self._kinds, strict=True):
            for each, n in counts.items():
                before[each[:-1]] += n
                kinds[each[:-1]] += 1
        own = sorted(self._nll(word, spare=1) for word in words if len(word) > 4)
        self._limit = own[int(0.99 * len(own))] if own else math.inf

    def unlikely(self, words: Sequence[str]) -> bool:
        """Whether words are on average less likely than 99 in 100 of the language's own are to one who lacks them."""
        return sum(map(self._nll, words)) / len(words) > self._limit

    def _nll(self, word: str, spare: int = 0) -> float:
        """Nats a letter, the end of the word included; ``spare`` takes one occurrence of the word away."""
        return sum(-math.log(self._chance(each, spare)) for each in _runs(word)) / (len(word) + 1)

    def _chance(self, run: str, spare: int) -> float:
        chance = 1 / 40
        for length, (counts, before, kinds) in enumerate(
            zip(self._counts, self._before, self._kinds, strict=True), start=1
        ):
            each = run[-length:]
            n, seen = counts[each] - spare, before[each[:-1]] - spare
            if seen <= 0:
                break
            more = max(1, kinds[each[:-1]] - (spare and n == 0))
            chance = (max(0, n) + more * chance) / (seen + more)
        return chance


@cache
def _alphabets() -> "Pattern[str]":
    """Letters of two alphabets that look alike, side by side; but Greek ones may end a word, as in "TNF\u03b1"."""
    import regex

    return regex.compile(r"\p{Latin}+\p{Cyrillic}+|\p{Cyrillic}+\p{Latin}+|\p{Latin}+\p{Greek}+\p{Latin}+", regex.V1)


@cache
def _english() -> frozenset[str]:
    """The stems of common English words, made once as that takes as long as a small evaluation."""
    return frozenset(stem for word in WORDS for stem in Tokenizer().tokenize(word))


def _runs(word: str) -> list[str]:
    """Every letter of a word, and its end, after the two before it."""
    padded = f"  {word} "
    return [padded[place : place + 3] for place in range(len(word) + 1)]


def _words(text: str) -> list[str]:
    """The words of ``text`` as they are spelled, without digits."""
    return re.findall(r"[^\W\d_]+", folded(text))
