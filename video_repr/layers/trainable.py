"""Which inner layers are trained, saved with a layer."""


class SavesTrainable:
    """Mixin for layers that make layers of their own.

    Keras saves whether a layer is trainable, but not whether the layers inside
    it are: frozen ones would train again after loading. Here the config names
    the frozen inner layers.
    """

    def get_config(self):
        return {
            **super().get_config(),
            "frozen": [
                path for path, layer in _inner(self) if not layer.trainable
            ],
        }

    @classmethod
    def from_config(cls, config, **kwargs):
        config = dict(config)
        # Before version 0.2 the config had only the layer itself.
        frozen = config.pop("frozen", None)
        layer = super().from_config(config, **kwargs)
        if frozen is not None:
            # From the outside in, as setting a layer's `trainable` sets that of
            # its inner layers.
            for path, inner in _inner(layer):
                inner.trainable = path not in frozen
        return layer


def hand_down(layer):
    """Freezes the inner layers of a layer that is constructed frozen.

    Keras sets `trainable` of inner layers when it is changed, but not when a
    layer is constructed.
    """
    if not layer.trainable:
        for _, inner in _inner(layer):
            inner.trainable = False


def _inner(layer, path=""):
    """The layers inside a layer by their paths, the outer ones first."""
    seen = {}
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        count = seen[inner.name] = seen.get(inner.name, 0) + 1
        name = inner.name if count == 1 else f"{inner.name}#{count}"
        yield f"{path}{name}", inner
        yield from _inner(inner, f"{path}{name}/")
