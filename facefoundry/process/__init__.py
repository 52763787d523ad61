"""Processes and their folders: sandboxed children (`sandbox`), programs that end with this one, signals, scratch."""
