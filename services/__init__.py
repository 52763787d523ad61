"""The three services. Run one as `python -m services.<name>`."""
