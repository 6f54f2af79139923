"""Attacks on a leaderboard: `rows` says which attacked rows are wanted, `records` what their samples come to.

`levels` says what they add to a method's score.
"""
