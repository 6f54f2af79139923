"""Rows as tables and pages."""
