"""How a check says what does not hold."""

from collections.abc import Iterator
from contextlib import contextmanager


class CheckError(AssertionError):
    """A plug-in does not do what its contract says; the message names what."""


def expect(holds: object, what: str) -> None:
    """Raise `CheckError`, saying ``what`` should be, unless it ``holds``."""
    if not holds:
        raise CheckError(what)


@contextmanager
def stopped(when: str) -> Iterator[None]:
    """Let whatever the plug-in raises within be a `CheckError` that says ``when``."""
    try:
        yield
    except CheckError:
        raise
    except Exception as error:
        raise CheckError(f"{when} it stops with {type(error).__name__}: {error}") from error


@contextmanager
def refused(kind: type[Exception], what: str, *words: str) -> Iterator[None]:
    """Raise `CheckError` unless the block raises ``kind`` with a message of one line in which all ``words`` are."""
    try:
        yield
    except kind as error:
        said = str(error)
        told = "\n" not in said and all(word in said for word in words)
        expect(told, f"{what}: say {' and '.join(words)} in one line, not {said!r}")
    else:
        raise CheckError(f"{what}: raise {kind.__name__}")
