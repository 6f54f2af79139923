"""The pages of leaderboards: plain files for any static host, or for a folder opened in a browser."""
