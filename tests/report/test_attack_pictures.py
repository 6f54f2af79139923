"""Pictures of attacks: what comes back step by step, and curves of what an audit tells apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.attacks.test_relearned import found  # noqa: F401 - a fixture
from unlearnbench.analysis.attacks.of_lines import AttackedLine, AttackOn
from unlearnbench.analysis.attacks.over_seeds import Variant
from unlearnbench.metrics.distances import auc
from unlearnbench.report.attacks.recovery import recovery
from unlearnbench.report.attacks.roc import points

SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_the_area_below_a_curve_is_the_auc(positives: list[float], negatives: list[float]) -> None:
    false, true = points(positives, negatives)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert float(np.trapezoid(true, false)) == pytest.approx(auc(positives, negatives))


def test_a_figure_has_a_line_for_each_method_and_both_references(
    found: dict[tuple[str, str], AttackedLine],  # noqa: F811
    tmp_path: Path,
) -> None:
    lines = [line for (aux, _), line in found.items() if aux == "facts"]
    told = lines[0].line.rows[0].attack
    assert told is not None
    ((name, figure),) = recovery([AttackOn("made-up", told, "", tuple(lines))])
    assert name.startswith(told.name)
    known, back = figure.axes
    methods = [line for line in lines if line.line.is_method]
    assert len(known.lines) == len(methods) + 2
    assert {line.get_label() for line in known.lines} >= {each.line.method for each in methods}
    assert back.get_ylabel() == "share that came back"
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_what_lies_beyond_the_references_stays_in_the_picture(
    found: dict[tuple[str, str], AttackedLine],  # noqa: F811
) -> None:
    base, line = found["facts", "finetune"], found["facts", "gibberish"]
    more = {name: moved(variant, -0.5) for name, variant in line.variants.items()}
    less = {name: moved(variant, 1.5) for name, variant in [*line.variants.items()][:2]}
    told = line.line.rows[0].attack
    assert told is not None
    lines = (replace(line, variants=less), replace(line, variants=more), base)
    ((_, figure),) = recovery([AttackOn("made-up", told, "", lines)])
    _, back = figure.axes
    low, high = back.get_ylim()
    assert low < -0.5
    assert high > 1.5
    assert [*back.get_xticks()] == [0, 15, 30, 60]  # those of the longest curve


def moved(variant: Variant, share: float) -> Variant:
    """The same with another share in every seed."""
    made = Variant(variant.found)
    shares = {name: [replace(each, value=share) for each in of] for name, of in variant.shares.items()}
    vars(made)["shares"] = shares  # which would be made of the outcomes when asked for
    return made
