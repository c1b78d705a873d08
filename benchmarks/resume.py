"""Results that a program left in its file, to go on from."""

import json


def results_before(path, asked):
    """The results in `path`, None if there are none.

    Args:
        path: the program's JSON file, or None.
        asked: what else stands in it and must be the same now.

    Raises:
        SystemExit: if the file's results are of something else.
    """
    if not path or not path.exists():
        return None
    before = json.loads(path.read_text())
    if not isinstance(before, dict):
        before = {}
    results = before.pop("results", None)
    asked = json.loads(json.dumps(asked))
    other = [name for name in asked if before.get(name) != asked[name]]
    if other or results is None:
        raise SystemExit(
            f"Expected a new file, or {path} with results of the same "
            f"{', '.join(asked)}. Received: other {', '.join(other)}"
        )
    return results
