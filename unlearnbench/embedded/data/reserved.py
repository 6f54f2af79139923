"""Which generated pictures belong to evaluation, and which may be trained on.

The embedded models are pretrained on pictures from the same generators that draw the evaluation sets. A picture's
content (the look of a face, the layout of a scene) is hashed; one content in eight is reserved for evaluation and
the pretraining generator never draws it. So the two can not overlap, whatever the seeds.
"""

import hashlib


def is_reserved(content: object) -> bool:
    """Whether a picture with this ``content`` (any value with a stable ``repr``) is for evaluation only."""
    return hashlib.sha256(repr(content).encode()).digest()[0] % 8 == 0
