"""From rows to lines, columns and comparisons: what reports and leaderboards both need."""
