"""POPE: yes/no questions on objects that are there or not."""
