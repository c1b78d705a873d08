"""Beam pipelines from raw video to dataset directories."""

import logging as _logging
import sys as _sys

if " -m pipelines." in " ".join(_sys.orig_argv):
    # A program: Beam tells of clouds that nobody asked for.
    _logging.getLogger().setLevel(_logging.ERROR)

import os as _os

# TensorFlow has two makers of products and takes Eigen's on processors without
# AVX-512. That rounds the last rows of a batch in another way than the others,
# and the bytes of percepts would depend on their place in it.
_os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
