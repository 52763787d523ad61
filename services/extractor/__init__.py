"""The extractor service: finds, tracks, aligns and crops the faces of a sequence."""
