"""Contact sheets of clips, pairs and datasets, for a look before anything else is done with them.

`clips`, `pairs` and `datasets` plan a sheet, without a media library; `draw` decodes and draws it in a sandbox.
"""
