"""Two public-domain portraits, animated into two short clips, to try the product without data of one's own.

The portraits are sample data of scikit-image (Eileen Collins, NASA) and matplotlib (Grace Hopper, US Navy). The motion
is invented: the clips show nothing that these people did or said. The product never imports this package.
"""
