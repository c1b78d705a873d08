"""A fresh Python process that runs one source after another."""

import contextlib
import json
import subprocess
import sys

# Each source has names of its own; what is imported stays.
_LOOP = """
import json, sys, traceback
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    source, arguments = json.loads(line)
    sys.argv = ["-c", *arguments]
    try:
        exec(compile(source, "<source>", "exec"), {"__name__": "__main__"})
        answer = None
    except BaseException:
        answer = traceback.format_exc()
    print(json.dumps(answer), file=answers, flush=True)
"""


@contextlib.contextmanager
def interpreter(folder):
    """Yields a function of a source and arguments.

    It returns None, or the traceback of what the source raised.

    Args:
        folder: the process's working directory.
    """
    with (
        open(folder / "stderr.txt", "w") as log,
        subprocess.Popen(
            [sys.executable, "-c", _LOOP],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):

        def run(source, *arguments):
            line = json.dumps([source, [*map(str, arguments)]])
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, (folder / "stderr.txt").read_text()
            return json.loads(answer)

        yield run
        process.stdin.close()
