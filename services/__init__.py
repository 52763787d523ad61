"""The three services, run from a clone as `python -m services.<name>`."""
