"""The report as one HTML file that needs nothing else, and that file served while a sweep runs."""

from theta0.report.page.page import write
from theta0.report.page.serve import serve

__all__ = ["serve", "write"]
