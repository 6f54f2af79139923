"""Leaderboards: definitions, what is sent to them, how that is checked and ranked, and the pages that show it.

`definition` reads ``leaderboard.toml``; `submission` reads and writes files of rows; `rules` and `check` refuse what
cannot be believed; `ranking` has the formula, `standings` applies it; `table` and `site` show the outcome.
"""
