"""What drawn pictures show: remembers everything that is painted while a test runs."""

import pytest

from unlearnbench.embedded.data import faces, scenes


def remembered(patch: pytest.MonkeyPatch) -> dict[bytes, object]:
    """A dictionary that fills as pictures are painted: pixels -> `Look` or `Scene`."""
    shown: dict[bytes, object] = {}
    for module in (faces, scenes):

        def remember(content, view, draw=module.draw):  # type: ignore[no-untyped-def]
            image = draw(content, view)
            shown[image.tobytes()] = content
            return image

        patch.setattr(module, "draw", remember)
    return shown
