"""The interface of all encoders."""

from video_repr.layers.shapes import ComputesOutputShape


class ReturnsFeatures(ComputesOutputShape):
    """Mixin for encoders: a call, `encode_sequence` and `encode_states`.

    Their `call` has an argument `give`, which chooses whether it returns the
    sequence, the states or both; None stands for the choice made in the
    constructor. All three go through the call, and so work in functional models
    too.

    An encoder has `feature_size`, the number of values in a feature vector;
    `units`, the size of each layer; and `frame`, what a frame is to it, see
    `inputs`.
    """

    def __init__(self, *args, return_sequences, return_state, **kwargs):
        super().__init__(*args, **kwargs)
        self.return_sequences = return_sequences
        self.return_state = return_state

    def encode_sequence(self, clips, mask=None, training=None):
        """The features of every step.

        Args:
            clips: as for a call.
            mask: as for a call.
            training: as for a call; that of the enclosing model when None.

        Returns:
            What is read out of the top layer's h, `[batch, time,
            feature_size]`.
        """
        return self._give("sequence", clips, mask=mask, training=training)

    def encode_states(
        self, clips, mask=None, training=None, initial_states=None
    ):
        """The states after the last frame, which decoders start from.

        Args:
            clips: as for a call.
            mask: as for a call.
            training: as for a call.
            initial_states: as for a call of an `Encoder`.

        Returns:
            `[[h, c], ...]`, a pair a layer, lowest first, each `[batch,
            units]`, or `[batch, rows, columns, filters]` of a `ConvEncoder`.
        """
        return self._give(
            "states",
            clips,
            mask=mask,
            training=training,
            initial_states=initial_states,
        )

    @property
    def output(self):
        """The symbolic output of the call that has the most values.

        It is the first call's, if all have as many. Functional models count
        these values: with fewer, they would not find the states of a later
        call.
        """
        # Keras has no public way to ask for the calls.
        counts = [len(node.output_tensors) for node in self._inbound_nodes]
        most = counts.index(max(counts)) if counts else 0
        return self._get_node_attribute_at_index(
            most, "output_tensors", "output"
        )

    def _give(self, what, clips, **given):
        # If `training` is given, even as None, Keras does not use that of the
        # enclosing model.
        given = {k: value for k, value in given.items() if value is not None}
        return self(clips, give=what, **given)

    def given(self, features, sequence, states, give):
        """The result of a call.

        Args:
            features: `[batch, feature_size]`, those after the last frame.
            sequence: `[batch, time, feature_size]`.
            states: `[[h, c], ...]`.
            give: "sequence", "states" or "both"; None for the choice made in
                the constructor.
        """
        if give is not None:
            return {
                "sequence": sequence,
                "states": states,
                "both": (sequence, states),
            }[give]
        output = sequence if self.return_sequences else features
        return (output, *states) if self.return_state else output

    def state_shapes(self, frame_shape):
        """Shapes of the h and c of each layer, without the batch."""
        grid = self.frame.grid(frame_shape)
        return [(*grid, size) for size in self.units]

    def compute_output_shape(self, clips_shape=None, input_shape=None):
        # A loaded encoder is asked by the name that it was built with.
        batch, time = (clips_shape or input_shape)[:2]
        steps = (time,) if self.return_sequences else ()
        output = (batch, *steps, self.feature_size)
        if not self.return_state:
            return output
        frame_shape = (clips_shape or input_shape)[2:]
        shapes = self.state_shapes(frame_shape)
        return (output, *([(batch, *shape)] * 2 for shape in shapes))

    def compute_mask(self, clips, mask=None):
        # Keras calls this without `give`. The top layer has put its mask on the
        # sequence; states have none.
        return None

    def get_config(self):
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
        }
