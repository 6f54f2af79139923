"""CAGUL beside a plain version of it: seconds an epoch, what its gate learns, what a phase of it changes."""
