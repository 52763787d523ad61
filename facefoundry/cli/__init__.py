"""The command `facefoundry`: `main` is its entry point, `ffpp` has the subcommands that are modes of FF++'s script."""
