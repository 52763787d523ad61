"""Geometry and storage forms of aligned faces; arrays in, arrays out."""
