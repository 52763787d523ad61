"""`python -m facefoundry` is the command `facefoundry`."""

from facefoundry.cli.main import main

if __name__ == "__main__":
    main()
