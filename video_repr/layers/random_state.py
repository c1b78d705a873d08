"""Random state that is saved with a layer."""

_KEY = "seed_generator_state"


class SavesRandomState:
    """Mixin for layers whose `seed_generator` must survive saving.

    Keras saves a layer's weights but not the state of its seed generators: a
    resumed run would draw other random numbers than an uninterrupted run.
    """

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if hasattr(self, "seed_generator"):
            store[_KEY] = self.seed_generator.state.numpy()

    def load_own_variables(self, store):
        if _KEY in store:
            if hasattr(self, "seed_generator"):
                self.seed_generator.state.assign(store[_KEY])
            # Keras's stores have keys() and cannot be iterated.
            names = set(store.keys()) - {_KEY}
            store = {name: store[name] for name in names}
        super().load_own_variables(store)
