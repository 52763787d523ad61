"""The trainer service, its backends, and the worker that trains the model of one pair."""
