"""Beam pipelines from raw video to dataset directories."""

import logging as _logging
import sys as _sys

if " -m pipelines." in " ".join(_sys.orig_argv):
    # A program: Beam tells of clouds that nobody asked for.
    _logging.getLogger().setLevel(_logging.ERROR)
