"""The report of a dataset run: one HTML page, or many of one page for each pair, for finished and for running runs."""

from facefoundry.report.page import ReportWriter, write

__all__ = ["ReportWriter", "write"]
