"""The leaderboards that ship with the package: one folder each, its definition and the rows sent to it."""
