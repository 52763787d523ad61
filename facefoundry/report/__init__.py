"""The report of a dataset run: one self-contained HTML page, for finished and for running runs."""

from facefoundry.report.page import write

__all__ = ["write"]
