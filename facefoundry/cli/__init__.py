"""The command `facefoundry`: `main` has its subcommands, `ffpp` those with the modes of the FF++ script."""
