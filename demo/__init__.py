"""Animates two public-domain portraits as two short clips, with which the product can be tried without other data.

The portraits are sample data of scikit-image (Eileen Collins, NASA) and matplotlib (Grace Hopper, US Navy). The motion
is invented: the clips show nothing that these people did or said. The product never imports this package.
"""
