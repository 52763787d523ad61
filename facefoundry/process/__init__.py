"""Processes: sandboxed children, programs that end with this process, stop signals, scratch folders."""
