"""Checks of a finished dataset: what tells its fakes from its real videos although it must not, and what is unbalanced.

The modules that read media and those that use scikit-learn run in sandboxes; all others load no heavy library.
"""
