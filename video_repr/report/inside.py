"""Inside a model: dynamics of its gates and its weights (paper, 3.2)."""

import numpy as np

from video_repr import visualization
from video_repr.evaluation import dynamics
from video_repr.layers.patches import from_patches
from video_repr.report.page import Table
from video_repr.report.page import Words
from video_repr.report.page import animation
from video_repr.report.page import figure

_ROLLOUT = 100
# Steps to skip, in which the encoder's state decays without oscillation.
_TRANSIENT = 10
_GATES = ("input gate", "forget gate", "cell input", "output gate")


def rollout(subject):
    """A hundred steps of the future decoder, trained and random."""
    decoder = subject.model.decoders.get("future")
    if decoder is None:
        return None
    n = subject.model.input_frames
    clips = subject.clips[:16, :n]
    states = [
        [np.asarray(value, np.float32) for value in state]
        for state in subject.encoder.encode_states(clips)
    ]
    last = np.asarray(subject.encoder.last(clips), np.float32)
    decoders = {"trained": decoder, **_random_decoders(subject)}
    found = {name: _run_on(one, states, last) for name, one in decoders.items()}
    blocks = [
        Words(
            f"The future decoder was trained for {subject.model.future_frames} "
            f"steps. Here it takes {_ROLLOUT} by itself, from the states of "
            f"{len(clips)} test clips, and so do decoders of random weights."
        ),
        _dynamics_table(found),
    ]
    if subject.pictures:
        shown = subject.clips[:3, :n]
        frames = subject.model.predict_future(shown, steps=_ROLLOUT)
        blocks.append(
            animation(
                [frames],
                [f"step {t}" for t in range(1, _ROLLOUT + 1)],
                "Frames that the decoder draws, step by step.",
                f"{_ROLLOUT} steps of the trained decoder, three test clips.",
            )
        )
    energies = {
        name: dynamics.energy(of["output"]) for name, of in found.items()
    }
    blocks.append(
        figure(
            visualization.curves_over(
                {
                    name: list(enumerate(np.maximum(energy, 1e-12), start=1))
                    for name, energy in energies.items()
                },
                "step",
                "energy",
                log=True,
            ),
            "Curves of the energy over the steps: "
            + "; ".join(
                f"{name} {energy[9]:.2g} at step 10, {energy[-1]:.2g} at "
                f"step {_ROLLOUT}"
                for name, energy in energies.items()
            )
            + ".",
            "Energy by step; values below 1e-12 are drawn as 1e-12.",
            wide=True,
        )
    )
    middle = ""
    if subject.config.model.patch is not None:
        middle = ", the patch in the middle"
    for name, activations in found.items():
        blocks.append(
            figure(
                visualization.gate_images(
                    {key: value[0] for key, value in activations.items()}
                ),
                f"Images of the gates, cells and outputs of the decoder, "
                f"{name}: a row a unit, a column a step.",
                f"Gates, cell and output of the top layer while it runs on, "
                f"{name}; first test clip{middle}.",
                wide=True,
            )
        )
    blocks.append(
        figure(
            visualization.period_histogram(
                {
                    name: dynamics.dominant_periods(_late(values))
                    for name, values in found.items()
                }
            ),
            "Histograms of the dominant periods of the units that oscillate.",
            "The period of each unit's strongest oscillation from step "
            f"{_TRANSIENT + 1} to {_ROLLOUT}, first test clip.",
        )
    )
    return blocks


def _run_on(decoder, states, last):
    """Activations of the top layer; of the gates, those of the first clip."""
    found = decoder.activations(states, _ROLLOUT, last)[-1]
    # Copies, as maps of all clips would stay in the memory.
    return {
        name: values if name == "output" else values[:1].copy()
        for name, values in found.items()
    }


def _random_decoders(subject):
    """Untrained future decoders, with the run's forget bias and with 0.

    The paper's forget bias is 0; such decoders forget at once.
    """
    bias = subject.config.model.forget_bias
    name = f"random weights, as this run began, forget bias {bias:g}"
    found = {name: subject.untrained.decoders["future"]}
    if bias:
        found["random weights, forget bias 0"] = subject.untrained_with(
            forget_bias=0.0
        ).decoders["future"]
    return found


def _dynamics_table(found):
    rows = []
    for name, values in found.items():
        output = values["output"]
        of_clips = [dynamics.energy_ratio(clip[None]) for clip in output]
        periods = dynamics.dominant_periods(_late(values))
        moving = periods[np.isfinite(periods)]
        rows.append(
            (
                name,
                f"{dynamics.energy_ratio(output, late=50):.3g}",
                f"{dynamics.energy_ratio(output):.3g}",
                f"{min(of_clips):.2g} to {max(of_clips):.2g}",
                f"{np.median(moving):.1f}" if len(moving) else "none",
                f"{len(moving)} of {len(periods)}",
            )
        )
    return Table(
        (
            "decoder",
            "energy, step 50 / step 10",
            "step 100 / step 10",
            "of single clips",
            "median period, steps",
            "units that oscillate",
        ),
        tuple(rows),
        "Energy is the squared change of the top layer's outputs from a step "
        "to the next, the mean of the clips and of the five steps up to the "
        "one that is named: near 0 the dynamics have died. Periods are those "
        "of the strongest peaks of the spectra of the first clip's outputs "
        f"from step {_TRANSIENT + 1} on.",
    )


def _late(values):
    return values["output"][0, _TRANSIENT:]


def features(subject):
    """Weights from and to frames; for percepts the units' strongest clips."""
    if not subject.pictures:
        return _strongest(subject)
    read, shape = _drawn(subject, subject.encoder.lstms[0].cell.kernel)
    written = {
        branch: _drawn(subject, np.transpose(decoder.readout.kernel))
        for branch, decoder in subject.model.decoders.items()
    }
    of = "frame" if subject.config.model.patch is None else "patch"
    return [
        figure(
            visualization.feature_grids(
                dict(zip(_GATES, np.split(read, 4, axis=1), strict=True)), shape
            ),
            f"Four grids of small pictures, the weights from the {of} to the "
            "gates.",
            "Input features of largest norm, at most 200 of each of the four "
            "input weight sets of the first layer"
            + (", of a patch and its neighbours." if of == "patch" else "."),
            wide=True,
        ),
        figure(
            visualization.feature_grids(
                {branch: weights for branch, (weights, _) in written.items()},
                next(iter(written.values()))[1],
            ),
            "Grids of small pictures, the weights from the decoders' units to "
            f"the {of}.",
            f"Output features of largest norm of the decoders, of a {of}.",
            wide=True,
        ),
        *_peepholes(subject),
    ]


def _drawn(subject, weights):
    """Weights as pictures.

    Args:
        subject: a `Subject`.
        weights: `[values of a frame, units]`; of a convolutional model `[values
            of a patch, units]`, or such of each place of a kernel, `[rows,
            columns, values of a patch, units]`.

    Returns:
        `[values of a picture, units]`, and the shape of a picture.
    """
    weights, shape = np.asarray(weights, np.float32), subject.frame_shape
    patch = subject.config.model.patch
    if patch is None:
        return weights, shape
    if weights.ndim == 2:
        weights = weights[None, None]
    pictures = np.asarray(from_patches(np.moveaxis(weights, -1, 0), patch))
    _, height, width, _ = pictures.shape
    return pictures.reshape(len(pictures), -1).T, (height, width, *shape[2:])


def _peepholes(subject):
    stacks = {"encoder": subject.encoder, **subject.model.decoders}
    found = {
        f"{name}, layer {layer}": np.asarray(lstm.cell.peephole, np.float32)
        for name, stack in stacks.items()
        for layer, lstm in enumerate(stack.lstms, start=1)
        if lstm.cell.peephole is not None
    }
    if not found:
        return []
    return [
        figure(
            visualization.peephole_histograms(found),
            "Histograms of the peephole weights of the three gates.",
            "Peephole weights, from the cell to the gates.",
        )
    ]


def _strongest(subject):
    n = subject.model.input_frames
    top = np.asarray(subject.encoder(subject.clips[:, :n]), np.float32)
    names = subject.data.test_names(len(top))
    units = np.argsort(-top.std(axis=0))[:12]
    return [
        Table(
            ("unit", "highest", "", "", "lowest"),
            tuple(
                (
                    str(unit),
                    *(
                        f"{names[i]} ({top[i, unit]:+.2f})"
                        for i in (
                            *np.argsort(-top[:, unit])[:3],
                            top[:, unit].argmin(),
                        )
                    ),
                )
                for unit in units
            ),
            f"The clips, of {len(top)}, at whose end the twelve most variable "
            "units are highest and lowest.",
        ),
        *_peepholes(subject),
    ]
