"""A calendar export through the calendar models: reading iCalendar, tables and an HTML report."""

from geulpi_analysis._analysis import Analysis, Planned, analyse
from geulpi_analysis._errors import (
    AnalysisError,
    FileUnreadable,
    InvalidOption,
    InvalidTasks,
    NoEvents,
    NotICalendar,
    ReportNotWritable,
    TooManyEvents,
)
from geulpi_analysis._ics import Export, Reading, read_export
from geulpi_analysis._occurrences import Occurrence
from geulpi_analysis._problem import Problem
from geulpi_analysis._report import report
from geulpi_analysis._span import Asked, Span, chosen_span
from geulpi_analysis._tables import tables
from geulpi_analysis._tasks import Plan, read_plan

__all__ = [
    "Analysis",
    "AnalysisError",
    "Asked",
    "Export",
    "FileUnreadable",
    "InvalidOption",
    "InvalidTasks",
    "NoEvents",
    "NotICalendar",
    "Occurrence",
    "Plan",
    "Planned",
    "Problem",
    "Reading",
    "ReportNotWritable",
    "Span",
    "TooManyEvents",
    "analyse",
    "chosen_span",
    "read_export",
    "read_plan",
    "report",
    "tables",
]
