"""One step in several systems: the same work for each.

Every module has `SYSTEMS`, a dict from a system's name to a function of a
`Work` that returns `step()`: an update that returns its loss, or a pass of
inference that returns a value of its result. It need not wait until either is
known; `float` of what it returns does. A module also has `device_memory()`:
peak bytes on the GPU, None without one.
"""
