"""Starts `video-repr`, and says in one sentence why it cannot start."""

import sys


def main():
    """Runs the command line; returns its exit code."""
    try:
        from video_repr.cli import main

        return main()
    except ImportError as error:
        if error.name != "video_repr":
            raise
        # Another backend of Keras: `import video_repr` refuses it.
        print(f"video-repr: {error}", file=sys.stderr)
        return 2
