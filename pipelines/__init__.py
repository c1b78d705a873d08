"""Beam pipelines from raw video to dataset directories."""

import os as _os

# TensorFlow has two makers of products and takes Eigen's on processors without
# AVX-512. That rounds the last rows of a batch in another way than the others,
# and the bytes of percepts would depend on their place in it.
_os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
