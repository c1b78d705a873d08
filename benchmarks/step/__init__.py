"""One training step in several systems: the same work for each.

Every module has `SYSTEMS`, a dict from a system's name to a function of a
`Work` that returns `step()`: one update, finished when it returns its loss.
"""
