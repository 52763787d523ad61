"""Pair to model: the trainer service, its backends, and the worker that a backend runs."""
