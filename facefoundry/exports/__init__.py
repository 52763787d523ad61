"""Exports of a finished dataset: the same videos in the forms that detectors and tools read."""
