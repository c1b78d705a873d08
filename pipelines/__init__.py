"""Beam pipelines from raw video to dataset directories.

    python -m pipelines.patches --input films --output data/films/1

The command works in any directory once the wheel, or a clone with `pip install
-e '.[pipelines]'`, is installed. But Python searches the working directory
first: if it has another folder `pipelines`, Python says "No module named
pipelines.patches". Then run the command in another directory, with absolute
paths.
"""

import os as _os

# TensorFlow has two implementations of matrix products and uses Eigen's on
# processors without AVX-512. Eigen's rounds the last rows of a batch in another
# way, so the bytes of percepts would depend on their place in the batch.
_os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
