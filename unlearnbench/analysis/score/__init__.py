"""The score of a method on one replicate, by what the asker can see; docs/leaderboards.md derives it.

`levels` measures what it still knows between doing nothing (0) and retraining (1), `trace` how well it can be told from
a retrained model, `conditions` what it must not lose, `verdict` puts all of it into a word. Pure functions of numbers;
leaderboards and the tables of a run both use them.
"""
