"""Numbers as tables show them."""


def score(value: float) -> str:
    """A score in about five characters."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 100 else f"{value:.4g}"


def amount(value: float) -> str:
    """A count or a time in at most five characters or so: 0, 4.25, 12.6k, 7.1M, 8.3B."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # else 999 999 would be 1e+03k
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def memory(value: float, width: float | None = None) -> str:
    """Bytes, and half the width of their interval, in the same unit: 733 MiB, 23.4 ± 1.2 GiB."""
    size, unit = (2**30, "GiB") if value >= 999.5 * 2**20 else (2**20, "MiB")
    return f"{value / size:.3g}{'' if width is None else f' ± {width / size:.3g}'} {unit}"
