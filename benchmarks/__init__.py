"""Measurements, and the origin re-described as what they are measured against; product code imports nothing of it."""
