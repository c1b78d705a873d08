"""A page about a run."""

import logging
import pathlib
import sys

from video_repr.errors import InputError
from video_repr.errors import need
from video_repr.report import pretraining
from video_repr.report import transfer
from video_repr.report.page import Section
from video_repr.report.page import Words
from video_repr.report.page import check_page
from video_repr.report.page import missing
from video_repr.report.page import write_page
from video_repr.report.subject import Subject
from video_repr.runs import Run


def write_report(run, path=None):
    """Writes a page about a run: one HTML file that needs no network.

    It leaves out sections that do not apply. If a section fails, the reason is
    in its place and on stderr.

    Args:
        run: directory of a pretraining, fine-tuned or fused run, or of a label
            curve.
        path: file to write; `report.html` in the run when None.

    Returns:
        The path.

    Raises:
        InputError: if the directory is none of these, or the file cannot be
            written.
    """
    # Checked now, as the page is made last.
    need("report", "jinja2", "matplotlib", "PIL")
    run = pathlib.Path(run)
    path = run / "report.html" if path is None else pathlib.Path(path)
    if (run / "label_curve.json").is_file():
        subject, makers = run, transfer.LABEL_CURVE
    elif transfer.predictions(run):
        subject, makers = run, transfer.FINETUNED
    else:
        subject, makers = Subject.of(Run(run)), pretraining.SECTIONS
    check_page(path)
    write_page(
        path,
        f"Report of {run.absolute().name}",
        f"Written by video-repr report from {run}.",
        sections(subject, makers),
    )
    return path


def sections(subject, makers):
    """The sections of a page, without those that do not apply.

    Args:
        subject: argument for the makers.
        makers: dict from a title to a function that returns blocks, or None if
            the section does not apply.
    """
    found = []
    for title, make in makers.items():
        try:
            blocks = make(subject)
        except InputError as error:
            blocks = [missing(error)]
        except Exception as error:
            # The rest of the page is still useful.
            logging.getLogger(__name__).exception("%s", title)
            said = f"This section failed: {type(error).__name__}: {error}"
            blocks = [Words(said, failed=True)]
        for block in blocks or ():
            if isinstance(block, Words) and block.failed:
                print(f"{title}: {block.text}", file=sys.stderr)
        if blocks is not None:
            found.append(Section(title, tuple(blocks)))
    return found
