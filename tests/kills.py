"""Jobs that are stopped before a change of files, or die before it."""

import contextlib
import os
import sys
import traceback

_CHANGES = {
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
}


def changes(event, arguments):
    """Whether an event of `sys.addaudithook` changes files."""
    if event == "open":
        _, mode, flags = arguments
        return bool(
            set(mode or "") & set("wxa+") or flags & (os.O_WRONLY | os.O_RDWR)
        )
    return event in _CHANGES


def killed_before(number, work):
    """Does work in a forked process that dies before a change of files.

    Args:
        number: of the change, from 0.
        work: function without arguments.

    Returns:
        Whether it was killed: it was not if it made less changes.
    """
    process = os.fork()
    if not process:
        count = 0

        def look(event, arguments):
            nonlocal count
            if changes(event, arguments):
                if count == number:
                    os._exit(9)
                count += 1

        try:
            sys.addaudithook(look)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9), code
    return code == 9


class Killed(RuntimeError):
    """What a job that is dead meets wherever it would change something."""

    # Or clients of a bucket would try again for minutes.
    response = {"ResponseMetadata": {"HTTPStatusCode": 403}}


class Steps:
    """Calls a function before each change that anything in this process makes.

    What the function itself does, in whatever threads, is let through.

    Attributes:
        count: number of changes so far.
    """

    def __init__(self, act):
        self.count = 0
        self.dead = False
        self._act = act
        self._acts = False

    def __call__(self):
        if self.dead:
            raise Killed
        if not self._acts:
            self._acts = True
            try:
                self._act(self)
            finally:
                self._acts = False
                self.count += 1

    def die(self):
        """Ends what makes the changes: it makes none any more."""
        self.dead = True
        raise Killed


def before(number, act):
    """Does something before the n-th change alone."""
    return Steps(lambda steps: act(steps) if steps.count == number else None)


_steps, _below, _hooked = None, None, False


def _look(event, arguments):
    if _steps is None or not changes(event, arguments):
        return
    path, at = arguments[0], arguments[-1]
    if isinstance(path, int):
        return
    path = os.fsdecode(path)
    # `shutil.rmtree` names files by the folder that it has opened.
    relative = event in ("os.remove", "os.rmdir") and at != -1
    if relative or path.startswith(_below):
        _steps()


@contextlib.contextmanager
def stepping(folder, steps):
    """Has `Steps` called before each change of files below a folder."""
    global _steps, _below, _hooked
    if not _hooked:
        # For good, as the interpreter has it.
        sys.addaudithook(_look)
        _hooked = True
    _steps, _below = steps, str(folder)
    try:
        yield
    finally:
        _steps = None
