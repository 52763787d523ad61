"""Draws heads with Blender: `python -m benchmarks.heads.render JOB`, in a Python that has `bpy`.

JOB is a file that `Job.write` wrote.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.heads.job import Job, Look
from benchmarks.heads.mesh import Camera, Mesh, eye_shape, read_mesh, shaped

__all__ = ["main"]

bpy: Any = import_module("bpy")  # has no types

Points = NDArray[np.float64]

_NECK: Final = 5.3  # what is below this height is not drawn
_SAMPLES: Final = 12
_WHITE: Final = (0.75, 0.72, 0.68)
_BLACK: Final = (0.01, 0.01, 0.01)


def main(job: Job) -> None:
    """Draw all poses of all heads."""
    mesh, camera = read_mesh(Path(job.mesh)), Camera(job.size)
    for look in job.looks:
        targets = {Path(job.targets) / f"{name}.target.gz": weight for name, weight in look.targets.items()}
        vertices = shaped(mesh, targets)
        np.save(Path(job.out) / f"{look.name}.npy", vertices)
        scene = _scene(camera)
        objects = _head(scene, mesh, vertices, look, Path(job.skins) / look.skin, job.brows)
        for number, pose in enumerate(job.poses):
            for each in objects:
                each.matrix_world = pose.matrix().T.tolist()
            scene.render.filepath = str(Path(job.out) / f"{look.name}-{number:02d}.png")
            bpy.ops.render.render(write_still=True)
            print(scene.render.filepath, flush=True)


def _scene(camera: Camera) -> Any:
    """Make an empty scene with soft light and the camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    render = scene.render
    render.engine, render.threads_mode, render.threads = "CYCLES", "FIXED", 1
    render.resolution_x = render.resolution_y = camera.size
    render.resolution_percentage, render.use_persistent_data = 100, True
    render.image_settings.file_format = "PNG"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", _SAMPLES, False
    scene.cycles.max_bounces, scene.cycles.seed = 2, 0
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (0.35, 0.36, 0.38, 1)
    seen = bpy.data.cameras.new("camera")
    seen.sensor_fit, seen.lens_unit, seen.angle = "VERTICAL", "FOV", camera.angle
    lens = bpy.data.objects.new("camera", seen)
    lens.location = camera.place.tolist()
    scene.collection.objects.link(lens)
    scene.camera = lens
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle = 1.6, 0.6
    light = bpy.data.objects.new("sun", sun)
    light.rotation_euler = (-0.6, -0.5, 0)
    scene.collection.objects.link(light)
    return scene


def _head(scene: Any, mesh: Mesh, vertices: Points, look: Look, skin: Path, brows: list[list[int]]) -> list[Any]:
    """Add a head to a scene: skin, eyeballs and brows. Return the objects."""
    faces = [face for face in mesh.groups["body"] if all(mesh.vertices[vertex, 1] > _NECK for vertex, _ in face)]
    body = _object(scene, "body", vertices, [[vertex for vertex, _ in face] for face in faces], [_textured(skin)])
    layer = body.data.uv_layers.new()
    corners = np.concatenate([mesh.texture[[texture for _, texture in face]] for face in faces])
    layer.data.foreach_set("uv", corners.ravel())
    objects = [body]
    for side in "lr":
        objects.append(_eyeball(scene, eye_shape(mesh, vertices, side), look.iris))
    middle = vertices[[vertex for brow in brows for vertex in brow]].mean(axis=0)
    objects += [_brow(scene, vertices[brow], middle, look.brow) for brow in brows]
    return objects


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


def _eyeball(scene: Any, shape: Points, iris: tuple[float, float, float]) -> Any:
    """Add a sphere in place of the eye's vertices, with an iris and a pupil that look straight ahead."""
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
    return ball


def _brow(scene: Any, line: Points, middle: Points, colour: tuple[float, float, float]) -> Any:
    """Add a brow: a band along a line of vertices, just above the skin, that becomes narrow at its outer end."""
    places = np.linspace(0, len(line) - 1, 25)
    fine = np.stack([np.interp(places, np.arange(len(line)), line[:, axis]) for axis in range(3)], -1)
    fine += np.array([0, 0, 0.015]) + 0.02 * np.sign(line[0, 0]) * np.array([1, 0, 0]) * (places[:, None] / len(line))
    order = np.abs(fine[:, 0] - middle[0]).argsort()
    width = np.empty(len(fine))
    width[order] = np.linspace(0.055, 0.02, len(fine))
    up = np.array([0, 1, -0.25])
    band = np.concatenate([fine + width[:, None] * up, fine - width[:, None] * up])
    count = len(fine)
    faces = [[k, k + 1, count + k + 1, count + k] for k in range(count - 1)]
    return _object(scene, "brow", band, faces, [_plain(colour, 0.9)])


def _plain(colour: tuple[float, float, float], roughness: float) -> Any:
    material = bpy.data.materials.new("plain")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = roughness
    return material


def _textured(picture: Path) -> Any:
    material = _plain((1, 1, 1), 0.65)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(picture))
    links.new(texture.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return material


if __name__ == "__main__":
    main(Job.read(Path(sys.argv[1])))
