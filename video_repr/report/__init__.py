"""Pages about runs, for a browser."""

from video_repr.report.compare import compare_runs
from video_repr.report.report import write_report

__all__ = ["compare_runs", "write_report"]
