"""The vertices of the base mesh that are the 68 landmarks.

They were chosen once: the five heads were drawn from the front, and for each landmark that vertex was taken, of those
that the camera sees, which is nearest to plain dlib's landmark in the mean of the five; left and right are mirror
images. So the convention is dlib's, up to 0.03 eye distances (the mean of the inner landmarks), and in every pose a
landmark stays at the same place of the skin.

The jaw is the exception. dlib's points 0 to 16 follow the outline of the face, which moves over the skin when the head
turns; these vertices are those of the outline seen from the front. `benchmarks.faces` leaves them out.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BROWS", "VERTICES"]

# fmt: off
VERTICES: Final[list[int]] = [
    5415, 5327, 5176, 5154, 5299, 5298, 5295, 5292, 732, 11898, 11901, 11903, 11904, 11768, 11788, 11931, 12014,  # jaw
    261, 225, 204, 205, 209, 6984, 6980, 6979, 6999, 7030,  # brows
    133, 131, 201, 5054, 360, 314, 343, 7077, 7121,  # nose
    4855, 6757, 1073, 72, 47, 6776, 6856, 7765, 13353, 11473, 13372, 6831,  # eyes
    422, 5351, 460, 466, 7219, 11953, 7182, 7239, 7241, 492, 486, 484,  # outer lips
    443, 472, 474, 7228, 7203, 7264, 493, 517,  # inner lips
]
# fmt: on

BROWS: Final = [VERTICES[17:22], VERTICES[22:27][::-1]]
"""The vertices of the two brows, from the outer end to the inner one."""
