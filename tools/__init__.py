"""What makes files that are part of the product or of its benchmarks; nothing of it is installed."""
