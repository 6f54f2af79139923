"""The rows that reports are made of."""

from tests.report.conftest import row as row
