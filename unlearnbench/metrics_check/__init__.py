"""Which metrics tell models that know from models that do not: models of which that is known, and what tells them.

docs/metrics-check.md says the same in words.
"""
