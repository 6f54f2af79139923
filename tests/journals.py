"""A journal in memory, for tests."""

from collections.abc import Callable
from typing import Any


class Remembers:
    """What was said, by the question."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def once(self, question: object, answer: Callable[[], Any]) -> Any:
        if repr(question) not in self.said:
            self.said[repr(question)] = answer()
        return self.said[repr(question)]
