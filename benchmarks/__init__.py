"""Plain versions of what the package does faster, and scripts that compare the two."""
