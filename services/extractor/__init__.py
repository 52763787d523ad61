"""The extractor service: sequence to extraction."""
