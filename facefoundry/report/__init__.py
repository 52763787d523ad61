"""The report of a dataset run: one self-contained page, for a finished run and for one that still goes on."""

from facefoundry.report.page import write

__all__ = ["write"]
