"""What is measured of facts about people, set by set, and what of it makes a score."""

from unlearnbench import Headline

REPORTED = {
    "forget": (
        "value_rouge", "rouge_l", "exact_match", "ape", "probability", "value_probability", "truth_preference",
        "truth_choice", "min_k", "truth_ratio", "truth_odds", "refusal_rate", "fluency",
    ),
    "other_view": ("value_rouge", "rouge_l", "exact_match", "probability", "value_probability", "refusal_rate"),
    "nonprivate": ("value_rouge", "rouge_l", "exact_match", "refusal_rate"),
    "retain": ("value_rouge", "rouge_l", "exact_match", "truth_ratio", "refusal_rate", "fluency"),
    "held_out": ("value_rouge", "rouge_l", "exact_match", "truth_ratio", "refusal_rate"),
    "acquaintances": ("value_rouge", "rouge_l", "exact_match", "refusal_rate"),
}  # fmt: skip
"""Metrics by set. ``other_view`` is the forget set on pictures that nobody trained on; ``retain`` is the whole retain
set: the questions about the others and the non-private ones. Nobody trains on people held out or on acquaintances."""

HEADLINES = (
    Headline("Forget", "forget.rouge_l", "ROUGE-L"),
    Headline("Forget", "forget.value_rouge", "Value"),
    Headline("Forget", "forget.exact_match", "EM"),
    Headline("Forget", "forget.ape", "APE"),
    Headline("Forget", "forget.min_k", "Min-K"),
    Headline("Forget", "forget.probability", "Prob"),
    Headline("Forget", "forget.refusal_rate", "Refused"),
    Headline("Forget", "forget.fluency", "Fluent"),
    Headline("Other view", "other_view.exact_match", "EM"),
    Headline("Non-private", "nonprivate.rouge_l", "ROUGE-L"),
    Headline("Retain", "retain.rouge_l", "ROUGE-L"),
    Headline("Retain", "retain.exact_match", "EM"),
    Headline("Retain", "retain.truth_ratio", "Truth"),
    Headline("Held-out", "held_out.exact_match", "EM"),
    Headline("Held-out", "held_out.refusal_rate", "Refused"),
    Headline("Acquaintances", "acquaintances.exact_match", "EM"),
    Headline("Acquaintances", "acquaintances.refusal_rate", "Refused"),
)
"""The columns of tables."""

LEVELS = {
    "text": ("forget.value_rouge", "forget.exact_match", "forget.ape"),
    "logits": ("forget.value_probability", "forget.truth_preference", "forget.truth_choice"),
}
"""The metrics of each level of a score: such as tell who knows from who does not (docs/metrics-check.md)."""

TRACED = ("forget.probability",)
"""What shows in the trace alone: it is of whole sentences, which one who learned in other words finds unlikely."""

CONDITIONS = {
    f"{name}.{metric}": 0.05
    for name in ("nonprivate", "retain", "held_out", "acquaintances")
    for metric in ("exact_match", "refusal_rate")
} | {"forget.fluency": 0.1, "retain.fluency": 0.1}
"""What must be kept, with how far it may fall."""

NEEDED = frozenset({"forget.ape", "forget.truth_preference", "forget.truth_choice"})
"""Those of `LEVELS` for which data must have paraphrased questions and perturbed answers."""
