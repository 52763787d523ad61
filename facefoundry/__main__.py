"""Runs the command line: `python -m facefoundry` is the same as `facefoundry`."""

from facefoundry.cli.main import main

if __name__ == "__main__":
    main()
