"""Makes bases, from which trainings start, from heads that are nobody's."""
