"""What changes during a training: learning rate and scheduled sampling."""

import keras

# Steps of scheduled sampling where a training's length is a time. The decoders
# count one in an update, which is nothing of it.
TICKS = 2**30


def learning_rate(training, length):
    """The learning rate over the length of a training.

    Args:
        training: a `configs.TrainingConfig`.
        length: number of updates, or 1.0 for the share that is spent.

    Returns:
        Keras's schedule, or a number if it does not change.
    """
    rate = training.learning_rate
    if training.schedule == "linear":
        return keras.optimizers.schedules.PolynomialDecay(
            rate, length, end_learning_rate=0.0
        )
    if training.schedule == "root":
        return keras.optimizers.schedules.PolynomialDecay(
            rate, length, end_learning_rate=0.0, power=0.5
        )
    if training.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, length)
    return rate


def sampling(config):
    """The share of a conditional decoder's inputs that are its own frames.

    Args:
        config: a `configs.Config`.

    Returns:
        A schedule for `Decoder`, or 0.0.
    """
    share = config.model.scheduled_sampling
    if not share:
        return share
    return keras.optimizers.schedules.PolynomialDecay(
        0.0, config.training.steps or TICKS, end_learning_rate=share
    )
