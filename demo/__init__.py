"""Two public-domain portraits animated into two short clips, so that the whole product can be tried without any data.

The portraits are sample data of scikit-image (Eileen Collins, NASA) and matplotlib (Grace Hopper, US Navy). The motion
is invented: the clips show nothing that these persons did or said. The product never imports this package.
"""
