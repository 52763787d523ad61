"""The command `facefoundry`: `main` names the commands, `ffpp` has the original's five modes."""
