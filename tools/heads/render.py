"""Draws heads with Blender: `python -m tools.heads.render JOB`, in a Python that has `bpy`.

JOB is a file that `Job.write` wrote. A picture that exists is not drawn again.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.heads.job import Colour, Head, Job, Light, Look, Shot
from tools.heads.landmarks import BROWS, VERTICES
from tools.heads.mesh import Camera, Mesh, Pose, eye_shape, moved, read_mesh, shaped

__all__ = ["main"]

bpy: Any = import_module("bpy")  # has no types

Points = NDArray[np.float64]

_NECK: Final = 5.3  # what is below this height is not drawn
_FRINGE: Final = 7.75  # hair before the face ends at this height
_TEMPLE: Final = 0.9  # what is behind this depth is beside the face
_WHITE: Final = (0.75, 0.72, 0.68)
_BLACK: Final = (0.01, 0.01, 0.01)
_TEETH: Final = (0.75, 0.7, 0.6)
_TONGUE: Final = (0.35, 0.1, 0.09)


def main(job: Job) -> None:
    """Draw all pictures of all heads."""
    mesh, camera = read_mesh(Path(job.mesh)), Camera(job.size, height=job.height)
    for head in job.heads:
        if not all(job.picture(head, number).exists() for number in range(len(head.shots))):
            _draw(job, head, mesh, camera)


def _draw(job: Job, head: Head, mesh: Mesh, camera: Camera) -> None:
    targets = {Path(job.targets) / f"{name}.target.gz": weight for name, weight in head.look.targets.items()}
    vertices = shaped(mesh, targets)
    scene = _scene(camera, job.samples)
    drawn = _Drawn(scene, mesh, vertices, head.look, Path(job.skins) / head.look.skin)
    for number, shot in enumerate(head.shots):
        picture = job.picture(head, number)
        if picture.exists():
            continue
        actions = {Path(job.actions) / f"{name}.target": weight for name, weight in shot.actions.items()}
        acting = moved(vertices, actions)
        drawn.take(shot, acting)
        _light(scene, shot)
        np.save(picture.with_suffix(".npy"), camera.project(acting[VERTICES], shot.pose))
        scene.render.filepath = str(picture)
        bpy.ops.render.render(write_still=True)
        print(picture, flush=True)


def _scene(camera: Camera, samples: int) -> Any:
    """Make an empty scene with the camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    render = scene.render
    render.engine, render.threads_mode, render.threads = "CYCLES", "FIXED", 1
    render.resolution_x = render.resolution_y = camera.size
    render.resolution_percentage, render.use_persistent_data = 100, True
    render.image_settings.file_format = "PNG"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", samples, False
    scene.cycles.max_bounces, scene.cycles.seed = 2, 0
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    seen = bpy.data.cameras.new("camera")
    seen.sensor_fit, seen.lens_unit, seen.angle = "VERTICAL", "FOV", camera.angle
    lens = bpy.data.objects.new("camera", seen)
    lens.location = camera.place.tolist()
    scene.collection.objects.link(lens)
    scene.camera = lens
    return scene


def _light(scene: Any, shot: Shot) -> None:
    """Replace the lights of a scene by those of a picture."""
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (*shot.around, 1)
    for old in [each for each in scene.collection.objects if each.type == "LIGHT"]:
        bpy.data.objects.remove(old)
    for light in shot.lights:
        scene.collection.objects.link(_sun(light))


def _sun(light: Light) -> Any:
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle, sun.color = light.energy, 0.6, light.colour
    made = bpy.data.objects.new("sun", sun)
    made.rotation_euler = (*light.turn, 0)
    return made


class _Drawn:
    """The objects of a head in a scene: skin, eyeballs, brows, and the teeth, tongue, hair and lashes that it has."""

    def __init__(self, scene: Any, mesh: Mesh, vertices: Points, look: Look, skin: Path) -> None:
        faces = [face for face in mesh.groups["body"] if all(mesh.vertices[vertex, 1] > _NECK for vertex, _ in face)]
        body = _object(scene, "body", vertices, _corners(faces), [_textured(skin, look.tone)])
        layer = body.data.uv_layers.new()
        places = np.concatenate([mesh.texture[[texture for _, texture in face]] for face in faces])
        layer.data.foreach_set("uv", places.ravel())
        self._parts = [body]
        for group, colour in _groups(mesh, look).items():
            corners = [face for face in _corners(mesh.groups[group]) if "hair" not in group or _aside(mesh, face)]
            made = _object(scene, group, vertices, corners, [_plain(colour, 0.5)])
            self._parts.append(made)
        self._eyes = [_eyeball(scene, eye_shape(mesh, vertices, side), look.iris) for side in "lr"]
        self._brows = [_brow_object(scene, vertices, brow, look.brow) for brow in BROWS]

    def take(self, shot: Shot, vertices: Points) -> None:
        """Put everything where a picture has it."""
        matrix = shot.pose.matrix()
        for part in self._parts:
            _move(part, vertices)
        for brow, line in zip(self._brows, BROWS, strict=True):
            _move(brow, _band(vertices, line))
        for each in (*self._parts, *self._brows):
            each.matrix_world = matrix.T.tolist()
        yaw, pitch = shot.gaze
        for ball, (x, y, z) in self._eyes:
            ball.matrix_world = (matrix @ Pose(yaw, pitch, centre=(x, y, z)).matrix()).T.tolist()


def _groups(mesh: Mesh, look: Look) -> dict[str, Colour]:
    """Return the groups of the mesh that are drawn beside the skin, with their colours."""
    groups: dict[str, Colour] = {}
    if look.teeth:
        groups |= {"helper-upper-teeth": _TEETH, "helper-lower-teeth": _TEETH, "helper-tongue": _TONGUE}
    if look.hair is not None:
        groups |= {name: look.hair for name in mesh.groups if "hair" in name or "eyelashes" in name}
    return groups


def _aside(mesh: Mesh, face: list[int]) -> bool:
    """Return whether a face of the mesh's hair, which hangs down on all sides, is not before the person's face."""
    _, height, depth = mesh.vertices[face].mean(axis=0)
    return bool(height > _FRINGE or depth < _TEMPLE)


def _corners(faces: list[list[tuple[int, int]]]) -> list[list[int]]:
    return [[vertex for vertex, _ in face] for face in faces]


def _move(part: Any, vertices: Points) -> None:
    part.data.vertices.foreach_set("co", vertices.ravel())
    part.data.update()


def _object(scene: Any, name: str, vertices: Points, faces: list[list[int]], materials: list[Any]) -> Any:
    shape = bpy.data.meshes.new(name)
    shape.from_pydata(vertices.tolist(), [], faces)
    for material in materials:
        shape.materials.append(material)
    shape.polygons.foreach_set("use_smooth", [True] * len(shape.polygons))
    shape.update()
    made = bpy.data.objects.new(name, shape)
    scene.collection.objects.link(made)
    return made


def _eyeball(scene: Any, shape: Points, iris: Colour) -> tuple[Any, list[float]]:
    """Add a sphere in place of the eye's vertices, with an iris and a pupil that look straight ahead.

    Returns:
        (the sphere, its centre).
    """
    centre, radius = (shape.max(axis=0) + shape.min(axis=0)) / 2, float(np.ptp(shape[:, 0]) / 2)
    rings, steps = 60, 72
    polar = np.linspace(0, np.pi, rings + 1)[:, None]
    around = np.linspace(0, 2 * np.pi, steps, endpoint=False)[None]
    sphere = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around], -1)
    faces, kinds = list[list[int]](), list[int]()
    for ring in range(rings):
        for step in range(steps):
            after = (step + 1) % steps
            first, second = ring * steps, (ring + 1) * steps
            faces.append([first + step, second + step, second + after, first + after])
            degrees = 180 * (ring + 0.5) / rings
            kinds.append(2 if degrees < 10 else 1 if degrees < 27 else 0)
    materials = [_plain(_WHITE, 0.3), _plain(iris, 0.2), _plain(_BLACK, 0.1)]
    ball = _object(scene, "eye", centre + radius * sphere.reshape(-1, 3), faces, materials)
    ball.data.polygons.foreach_set("material_index", kinds)
    return ball, centre.tolist()


def _band(vertices: Points, numbers: list[int]) -> Points:
    """Return the vertices of a brow: a band along a line, just above the skin, that becomes narrow at its outer end."""
    line = vertices[numbers]
    middle = vertices[[vertex for brow in BROWS for vertex in brow]].mean(axis=0)
    places = np.linspace(0, len(line) - 1, 25)
    fine = np.stack([np.interp(places, np.arange(len(line)), line[:, axis]) for axis in range(3)], -1)
    fine += np.array([0, 0, 0.015]) + 0.02 * np.sign(line[0, 0]) * np.array([1, 0, 0]) * (places[:, None] / len(line))
    order = np.abs(fine[:, 0] - middle[0]).argsort()
    width = np.empty(len(fine))
    width[order] = np.linspace(0.055, 0.02, len(fine))
    up = np.array([0, 1, -0.25])
    return np.concatenate([fine + width[:, None] * up, fine - width[:, None] * up])


def _brow_object(scene: Any, vertices: Points, numbers: list[int], colour: Colour) -> Any:
    band = _band(vertices, numbers)
    count = len(band) // 2
    faces = [[k, k + 1, count + k + 1, count + k] for k in range(count - 1)]
    return _object(scene, "brow", band, faces, [_plain(colour, 0.9)])


def _plain(colour: Colour, roughness: float) -> Any:
    material = bpy.data.materials.new("plain")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = roughness
    return material


def _textured(picture: Path, tone: Colour) -> Any:
    material = _plain((1, 1, 1), 0.65)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(picture))
    mixed = nodes.new("ShaderNodeMix")
    mixed.data_type, mixed.blend_type = "RGBA", "MULTIPLY"
    mixed.inputs[0].default_value = 1.0
    mixed.inputs[7].default_value = (*tone, 1)
    links.new(texture.outputs["Color"], mixed.inputs[6])
    links.new(mixed.outputs[2], nodes["Principled BSDF"].inputs["Base Color"])
    return material


if __name__ == "__main__":
    main(Job.read(Path(sys.argv[1])))
