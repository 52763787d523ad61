"""The web page of dataset runs: the report, read again while they go on, and served read-only."""
