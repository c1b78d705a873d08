"""A page about a run."""

import pathlib
import traceback

from video_repr.errors import InputError
from video_repr.report import pretraining
from video_repr.report import transfer
from video_repr.report.page import Section
from video_repr.report.page import Words
from video_repr.report.page import write_page
from video_repr.report.subject import Subject
from video_repr.runs import Run


def write_report(run, path=None):
    """Writes a page about a run: one HTML file, without a network.

    A section that does not apply is left out; one that fails says why in its
    place.

    Args:
        run: directory of a pretraining run, a finetuned or fused one, or of a
            label curve.
        path: file to write; `report.html` in the run when None.

    Returns:
        The path.

    Raises:
        InputError: if the directory is none of these.
    """
    run = pathlib.Path(run)
    path = run / "report.html" if path is None else pathlib.Path(path)
    if (run / "label_curve.json").is_file():
        subject, makers = run, transfer.LABEL_CURVE
    elif any(run.glob("predictions-*.csv")):
        subject, makers = run, transfer.FINETUNED
    else:
        subject, makers = Subject(Run(run)), pretraining.SECTIONS
        # Without it there is nothing to tell.
        subject.config  # noqa: B018
    write_page(
        path,
        f"Report of {run.absolute().name}",
        f"Written by video-repr report from {run}.",
        sections(subject, makers),
    )
    return path


def sections(subject, makers):
    """The sections of a subject that there are.

    Args:
        subject: what the makers are called with.
        makers: dict from a title to a function that returns blocks, or None.
    """
    found = []
    for title, make in makers.items():
        try:
            blocks = make(subject)
        except InputError as error:
            blocks = [Words(f"Missing: {error}", failed=True)]
        except Exception as error:
            # The rest of the page is worth having.
            traceback.print_exc()
            blocks = [
                Words(
                    f"This section failed: {type(error).__name__}: {error}",
                    failed=True,
                )
            ]
        if blocks is not None:
            found.append(Section(title, tuple(blocks)))
    return found
