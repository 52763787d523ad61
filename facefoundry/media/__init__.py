"""Frames from and to files: reading, writing, single pictures."""
