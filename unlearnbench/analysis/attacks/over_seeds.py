"""What an attack brought back of a method over its seeds: shares with their intervals, costs, and a word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..lines import Replicate, replicate
from ..means import Mean
from .outcome import AttackOutcome
from .people.chance import more_than_chance
from .shares import Share, Three, interval, shares_over_seeds
from .verdict import AttackVerdict, State, attack_verdict, state


@dataclass(frozen=True)
class Level:
    """A level under an attack, over seeds: the share that is left, and that of the same questions without an attack.

    Half the width of its interval is the wider of that over seeds and of the bootstrap over people. Seeds of which
    nobody can tell are left out; ``share`` is None where that is so of all.
    """

    share: Mean | None
    clean: Mean | None
    below: bool


@dataclass(frozen=True)
class Variant:
    """What one variant of an attack, or the worst case of several, brought back of a method: an outcome a seed."""

    found: tuple[AttackOutcome, ...]

    @property
    def by_replicate(self) -> Mapping[Replicate, AttackOutcome]:
        """The outcomes by their seeds."""
        return {replicate(each.trio.own): each for each in self.found}

    @cached_property
    def shares(self) -> dict[str, list[Share]]:
        """By level, of each seed."""
        two_sided = self.found[0].two_sided
        return {
            name: _shares([each.three for each in self.found], metrics, self.found, two_sided)
            for name, metrics in self.found[0].rule.items()
        }

    @cached_property
    def _clean(self) -> dict[str, list[Share]]:
        """By level, of the seeds whose questions were asked without an attack too."""
        asked = [(each.clean, each) for each in self.found if each.clean]
        return {
            name: _shares([clean for clean, _ in asked], metrics, [of for _, of in asked], two_sided=False)
            for name, metrics in self.found[0].beside.items()
            if asked
        }

    @cached_property
    def levels(self) -> dict[str, Level]:
        """By name."""
        return {
            name: Level(_mean(of), _mean(self._clean.get(name, ())), any(each.below for each in of))
            for name, of in self.shares.items()
        }

    @property
    def left(self) -> Mean | None:
        """The lowest share of its levels; None where nobody can tell."""
        known = [(level.share.mean, level.share) for level in self.levels.values() if level.share]
        return min(known, key=lambda pair: pair[0] or 0.0)[1] if known else None

    @property
    def lost(self) -> tuple[str, ...]:
        """Conditions that the attacked model loses in most seeds."""
        return self._often([each.costs.lost for each in self.found])

    @property
    def lost_before(self) -> tuple[str, ...]:
        """Conditions that it had lost in most seeds without an attack."""
        return self._often([each.before.lost for each in self.found if each.before])

    @property
    def judged(self) -> bool:
        """Whether in each seed something told what was kept, under attack or without one."""
        return all(each.costs.judged or (each.before and each.before.judged) for each in self.found)

    @property
    def has_twins(self) -> bool:
        """Whether all models are known without the attack."""
        return all(each.before is not None for each in self.found)

    @property
    def unable(self) -> tuple[str, ...]:
        """Controls that failed in any seed."""
        return tuple(dict.fromkeys(name for each in self.found for name in each.unable))

    @cached_property
    def verdict(self) -> AttackVerdict | None:
        """The word for it; None where the models are not known without the attack: there is nothing to go by."""
        if not self.has_twins:
            return None
        found = {name: self._state(name, self.shares, [each.three for each in self.found]) for name in self.shares}
        asked = [each.clean for each in self.found if each.clean]
        clean = {name: self._state(name, self._clean, asked) for name, each in found.items() if each == "there"}
        kept = not self.lost and not self.lost_before
        return attack_verdict(found, clean, kept=kept, able=self.judged and not self.unable)

    def _state(self, name: str, of: Mapping[str, list[Share]], threes: Sequence[Three]) -> State | None:
        """Of a level; as it costs most, whether chance would do the same is asked last."""
        shares = of.get(name, [])
        if (mean := _mean(shares)) is None:
            return None
        found = state([each.value for each in shares if each.value is not None], mean)
        two_sided = of is self.shares and self.found[0].two_sided
        if found == "there" and not more_than_chance(threes, shares, two_sided=two_sided):
            return "unsure"
        return found

    def _often(self, by_seed: Sequence[Sequence[str]]) -> tuple[str, ...]:
        names = dict.fromkeys(name for each in by_seed for name in each)
        return tuple(name for name in names if 2 * sum(name in each for each in by_seed) > len(by_seed))


def _shares(
    threes: Sequence[Three], metrics: Sequence[str], found: Sequence[AttackOutcome], two_sided: bool
) -> list[Share]:
    seeds = [each.trio.own.seed for each in found]
    return shares_over_seeds(threes, metrics, two_sided=two_sided, seeds=seeds)


def _mean(shares: Sequence[Share]) -> Mean | None:
    """Over the seeds that tell; without an interval where there is one person and one seed."""
    told = [each for each in shares if each.value is not None]
    if not told:
        return None
    over_seeds = Mean.of([each.value for each in told])
    if not all(len(each.draws) for each in told):
        return over_seeds
    low, high = interval([each.draws for each in told])
    return replace(over_seeds, half_width=max(over_seeds.half_width or 0.0, (high - low) / 2))
