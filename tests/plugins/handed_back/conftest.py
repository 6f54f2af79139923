"""Rows of a method and a task of other hands."""

from tests.plugins.handed_back.handing_back import computed as computed
