"""Datasets described in one file: their clips, identities, splits and pairs, before any work is done on them."""
