"""Model and target sequence to manipulated sequence: the converter service."""
