"""The functions that make files of exports. They run in sandboxes, and each has plain values as arguments."""
