"""Measurements, and FF++'s algorithms rewritten as their reference. Product code imports nothing from here."""
