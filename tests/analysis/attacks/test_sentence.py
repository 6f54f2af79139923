"""The sentence on one method: what was tried, and what came back."""

from unlearnbench.analysis.attacks.sentence import Tried, sentence
from unlearnbench.analysis.means import Mean


def test_a_sentence_says_all_that_was_tried_and_of_each_what_came_back() -> None:
    found = [
        Tried("relearn", "weights-write", "comes back", Mean(0.15, 0.04, 3)),
        Tried("prompt", "prompt", "leaks", Mean(0.5, None)),
        Tried("picture", "picture", "holds", Mean(0.97, 0.05, 3)),
        Tried("quantise", "weights-write", "broken", Mean(0.99, 0.01, 3)),
        Tried("leak", "prompt", "cannot tell", None),
        Tried("gate", "weights-write", "inconclusive", None),
        Tried("depth", "weights-read", None, None),
    ]
    assert sentence(found) == (
        "Tried: relearn, quantise, gate (weights-write), prompt, leak (prompt), picture (picture), "
        "depth (weights-read); of what was forgotten came back: 85% [81%, 89%] under relearn; "
        "leaked without any attack, and attacked gave away: 50% under prompt; "
        "held: 3% [-2%, 8%] under picture; broken under quantise; "
        "inconclusive under gate; cannot tell under leak; not compared under depth."
    )


def test_nothing_tried_and_nothing_told_are_not_praised() -> None:
    assert "nobody knows" in sentence([]).lower()
    told = sentence([Tried("leak", "prompt", "cannot tell", None)])
    assert "came back: nothing that these attacks can tell" in told
    assert "held" not in told
