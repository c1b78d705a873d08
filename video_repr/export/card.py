"""The model card of an exported encoder."""

import dataclasses
import json
import textwrap

from video_repr.metric_names import IN_WORDS


@dataclasses.dataclass(frozen=True)
class Terms:
    """Statements on an encoder that only the person who exports it can make.

    Attributes:
        license: the licence of the weights, a name of SPDX's list.
        data_license: where the data come from and what their licence is.
        limits: what users should know, in addition to the standard text.
    """

    license: str | None = None
    data_license: str | None = None
    limits: str | None = None


def model_card(name, about, metrics, terms):
    """The text of a card, Markdown.

    Args:
        name: of the encoder.
        about: content of config.json.
        metrics: content of metrics.json, or None.
        terms: `Terms`.

    Returns:
        A string.
    """
    encoder, run = about["encoder"], about["run"]
    frame = ", ".join(map(str, encoder["frame_shape"]))
    units, pictures = encoder["units"], encoder.get("pictures")
    size = encoder.get("feature_size", units[-1])
    front = ["library_name: keras", "tags: [video, lstm, unsupervised]"]
    if terms.license:
        front.insert(0, f"license: {terms.license.lower()}")
    return "\n".join(
        [
            "---",
            *front,
            "---",
            "",
            f"# {name}",
            "",
            *_wrapped(
                (
                    "A convolutional encoder LSTM with peepholes, patches of "
                    f"{pictures['patch']} x {pictures['patch']} px, "
                    f"{' and '.join(map(str, units))} channels, "
                    if pictures
                    else "An encoder LSTM with peepholes, "
                    f"{' and '.join(map(str, units))} units, "
                )
                + "that learned without "
                f"labels: {_decoders(run['model'])}. After Srivastava, "
                "Mansimov and Salakhutdinov (ICML 2015), made with "
                f"video_repr {about['versions']['video_repr']}."
            ),
            "",
            "```python",
            "import tensorflow as tf",
            "",
            'encoder = tf.saved_model.load("PATH OF THIS FOLDER")',
            f"features = encoder(clips)  # [batch, time, {frame}] -> "
            f"[batch, {size}]",
            "```",
            "",
            *_wrapped(
                "With video_repr, `SavedModelEncoder` makes a Keras layer of "
                "it, and `keras.models.load_model` reads `encoder.keras`."
            ),
            "",
            "## Input and output",
            "",
            *_table(
                ("", "shape", "values"),
                (
                    "clips",
                    f"[batch, time, {frame}], or "
                    + (
                        "flat frames"
                        if pictures is None
                        else "pictures of other sizes that the patches divide"
                    ),
                    "float32, pixels in [0, 1]"
                    if encoder["pixels"]
                    else "float32, as in the dataset: scaling is inside",
                ),
                (
                    "features",
                    f"[batch, {size}]",
                    "the top layer's last h, in (-1, 1)"
                    + (", means and maxima" if pictures else ""),
                ),
            ),
            "",
            *_wrapped(
                f"It was trained on clips of {encoder['input_frames']} frames "
                "and reads any number. Signatures: `encode`, `sequence`, "
                "`states`, `step`"
                + (
                    " and `predict_future`."
                    if encoder["predicts_future"]
                    else "."
                )
            ),
            "",
            "## Training",
            "",
            *_table(("", ""), *_training(about)),
            "",
            "## Numbers",
            "",
            *_numbers(metrics),
            "",
            "## Use and limits",
            "",
            *_wrapped(
                "Use it for features of clips like those that it learned from, "
                "and as a start for fine-tuning on few labels. Other sizes, "
                "speeds and kinds of images are not measured here. A frame of "
                "the future is the blurred mean of what may come. Do not use "
                "it for decisions about people."
            ),
            *(["", *_wrapped(terms.limits)] if terms.limits else []),
            "",
            "## Licence",
            "",
            f"- Weights: {terms.license or 'not stated by who exported them'}.",
            *_wrapped(
                "- Data: "
                + (terms.data_license or "not stated by who exported them.")
            ),
            "- Code: Apache-2.0.",
            "",
        ]
    )


def _decoders(model):
    branches = {
        "reconstruction": "the reversed clip of "
        f"{model['input_frames']} frames",
        "future": f"the {model['future_frames']} frames after it",
    }
    tasks = [
        of
        + (", each from the true frame before" * (model[name] == "conditional"))
        for name, of in branches.items()
        if model[name] != "none"
    ]
    return f"decoders unroll its state into {' and '.join(tasks)}"


def _training(about):
    run, training = about["run"], about["run"]["training"]
    return [
        ("data", about["data"]),
        ("seed", f"{training['seed']}"),
        (
            "updates",
            f"{about['updates']:,}, of {training['batch_size']} clips each",
        ),
        (
            "optimizer",
            f"{training['optimizer']}, {training['learning_rate']:g}, "
            f"{training['schedule']} schedule",
        ),
        ("all of it", "`config.json`; " + json.dumps(run["model"])),
    ]


def _test_set(data):
    """Which test sequences these are: the numbers of others are not these."""
    if "digits" not in data:
        return ""
    if data["test_seed"] is None:
        return f" from the file {data['test']}"
    return (
        f", {data['test']} of {data['digits']['source']!r} with seed "
        f"{data['test_seed']}"
    )


def _numbers(metrics):
    if metrics is None:
        return ["Not measured: the data were not there when it was exported."]
    of = metrics["baselines_of"]
    rows = {
        f"this encoder's {of}": metrics[of],
        "last frame repeated": metrics["baselines"]["last_frame"],
        "mean frame": metrics["baselines"]["mean_frame"],
    }
    table = _table(
        ("", *rows),
        *(
            (words, *(f"{row[name]:,.3f}" for row in rows.values()))
            for name, words in IN_WORDS.items()
            if all(name in row for row in rows.values())
        ),
    )
    data = metrics["data"]
    return [
        *_wrapped(
            f"On {data['sequences']:,} test sequences of {data['name']}"
            f"{_test_set(data)}, measured on {metrics['measured_on']}; per "
            "step in `metrics.json`."
        ),
        "",
        *table,
    ]


def _table(head, *rows):
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _wrapped(text):
    return textwrap.wrap(text, 79, break_on_hyphens=False)
