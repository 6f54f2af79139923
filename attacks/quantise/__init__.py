"""Quantisation: fewer bits a weight."""

from .attack import Quantise as Quantise
