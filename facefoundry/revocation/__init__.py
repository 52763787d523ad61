"""Revocations: finds everything that was made of a clip or of a person, and removes it from bucket and datasets."""
