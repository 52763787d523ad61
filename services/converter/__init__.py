"""The converter service: makes a fake of a target and a model, and encodes real videos at the same levels."""
