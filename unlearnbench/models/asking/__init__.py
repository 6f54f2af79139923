"""Asking a model many questions: requests, how many at a time, shared beginnings."""
