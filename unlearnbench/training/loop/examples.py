"""What a training saw: the samples of its batches and those that a loss asked about by itself, by their sets."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ...contracts.sample import Sample
from ...runtime.run import Run


def samples_in(item: Any) -> Iterator[Sample]:
    """The samples that stand in an item of a batch, or in a batch: by themselves, in sequences, in dataclasses."""
    if isinstance(item, Sample):
        yield item
    elif isinstance(item, list | tuple):
        for part in item:
            yield from samples_in(part)
    elif is_dataclass(item) and not isinstance(item, type):
        for each in fields(item):
            yield from samples_in(getattr(item, each.name))


def by_set(samples: Iterable[Sample], run: Run) -> Counter[str]:
    """How many of ``samples`` are of each set; all are of one where a stage divides nothing."""
    return Counter(run.set_of.get(sample.id, "all") for sample in samples)


def once_each(heard: Iterable[Iterable[Any]]) -> Counter[Sample]:
    """The samples that one loss asked about: a batch that is prepared twice was seen once."""
    samples = Counter[Sample]()
    for queries in heard:
        samples |= Counter(query for query in queries if isinstance(query, Sample))
    return samples


def add_examples(run: Run, seen: Mapping[str, int]) -> None:
    """Add to the cost of a stage what a training of it saw of each set; a set that none saw counts zero."""
    total = run.cost.setdefault("examples", dict.fromkeys(run.set_of.values(), 0))
    for name, number in seen.items():
        total[name] = total.get(name, 0) + number
