"""The bench: measures the product's stages, and compares them with a rewrite of FF++'s algorithms, the reference.

Product code imports nothing from here.
"""
