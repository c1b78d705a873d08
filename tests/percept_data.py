"""Small datasets of percepts, and runs on them."""

import numpy as np

from video_repr import configs


def write_percepts(rng, directory, clips=16, means=0.0):
    """A dataset of clips of 9 frames of 6 values that are not negative.

    Two classes, a and b; half of the clips to train on, a quarter each to
    validate and to test.

    Args:
        rng: of the values.
        directory: where the dataset, and what it is made of, go.
        clips: number of clips.
        means: how far the classes are apart.

    Returns:
        The dataset's path.
    """
    # Beam is not where the oldest TensorFlow is.
    from pipelines import arguments
    from pipelines import import_features

    directory.mkdir(exist_ok=True)
    values = 40 * rng.random((clips, 9, 6)) ** 2
    values[1::2, :, :3] += means
    np.save(directory / "percepts.npy", values.astype(np.float32))
    lines = ["clip,label,group,split"]
    for number in range(clips):
        # Both classes in each.
        split = ("train", "train", "validation", "test")[number // 2 % 4]
        lines.append(f"c{number},{'ab'[number % 2]},g{number},{split}")
    (directory / "index.csv").write_text("\n".join(lines) + "\n")
    code = arguments.main(
        import_features.Arguments,
        "test",
        [
            *("--arrays", str(directory / "percepts.npy")),
            *("--index", str(directory / "index.csv")),
            *("--output", str(directory / "percepts" / "1")),
        ],
    )
    assert code == 0
    return directory / "percepts" / "1"


def run_on(path, output="rectified", **model):
    """A config of a short run on it."""
    model = {"input_frames": 4, "future_frames": 3, **model}
    return configs.Config(
        data=configs.ClipDatasetConfig(str(path), stride=2),
        model=configs.ModelConfig(
            units=(5,), output=output, output_bias=0.0, **model
        ),
        training=configs.TrainingConfig(
            epochs=2,
            steps_per_epoch=3,
            batch_size=4,
            # Takes longer than all of the training.
            jit_compile=False,
        ),
    )
