"""Attacks and audits, one file each: what tries to bring back what was unlearned, or looks whether it is there."""
