"""Embeddings that `pipelines.embed` wrote."""

import pathlib

import numpy as np

from video_repr.errors import InputError
from video_repr.errors import extra


def nearest(embeddings, example_id, count=5):
    """The clips whose embeddings are nearest to that of a given clip.

    Args:
        embeddings: directory that `pipelines.embed` wrote.
        example_id: id of the clip.
        count: number of clips.

    Returns:
        Pairs `(id, cosine similarity)`, the nearest first, without the clip
        itself.

    Raises:
        InputError: if the directory is not complete, or has no such clip.
        MissingExtraError: if pyarrow is missing, which the extra `pipelines`
            installs.
    """
    with extra("pipelines"):
        import pyarrow
        import pyarrow.parquet

    path = pathlib.Path(embeddings)
    if not (path / "COMPLETED").is_file():
        raise InputError(
            f"Expected embeddings that were written to their end. Received: "
            f"{embeddings} without its file COMPLETED"
        )
    table = pyarrow.concat_tables(
        pyarrow.parquet.read_table(file)
        for file in sorted(path.glob("*.parquet"))
    )
    ids = table["id"].to_pylist()
    if example_id not in ids:
        raise InputError(
            f"Expected the id of a clip in {embeddings}. Received: "
            f"{example_id!r}"
        )
    vectors = np.array(table["vector"].to_pylist(), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12
    similarity = vectors @ vectors[ids.index(example_id)]
    order = np.argsort(-similarity, kind="stable")
    return [
        (ids[i], float(similarity[i])) for i in order if ids[i] != example_id
    ][:count]
