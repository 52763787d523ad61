"""Rendered heads whose landmarks are exact in every pose; `python -m benchmarks.heads DIR` makes them.

`tools.heads` draws them.
"""
