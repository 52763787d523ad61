"""Runs the loaders of detectors on exports, up to their first batch: `make consumers`.

Each module but `__main__` is a program that runs in an environment with a consumer's libraries. It gets the clone of
the consumer and the folder of an export, and prints one line of JSON: how many samples the loader found, how many have
each label, and the shapes of the first batch.
"""
