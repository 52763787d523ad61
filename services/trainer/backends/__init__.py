"""Where workers run: the interface (`base`) and one module per kind of place."""
