"""Random state that is saved with a layer."""

_KEY = "seed_generator_state"


class SavesRandomState:
    """Mixin for layers whose `seed_generator` must survive saving.

    Keras saves a layer's weights and not the state of its seed generators; a
    run that is resumed would draw other random numbers than the run that was
    not interrupted.
    """

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if hasattr(self, "seed_generator"):
            store[_KEY] = self.seed_generator.state.numpy()

    def load_own_variables(self, store):
        if _KEY in store.keys():  # noqa: SIM118
            if hasattr(self, "seed_generator"):
                self.seed_generator.state.assign(store[_KEY])
            store = {k: store[k] for k in store.keys() if k != _KEY}  # noqa: SIM118
        super().load_own_variables(store)
