"""Cross-Modal Attention Guided Unlearning (CAGUL): Bhaila, Komanduri, Van, Wu, arXiv:2510.07567.

The vision-language model stays frozen. A *discriminator* looks at a picture's visual tokens and decides whether the
person asked to be forgotten. If so, the visual tokens to which the question attends least are replaced by what a
*visual token encoder*, trained to make the model refuse private questions and answer the others, makes of them.
"""

from .method import CAGUL

__all__ = ["CAGUL"]
