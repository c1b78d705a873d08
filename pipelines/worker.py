"""A Beam worker process that does not tell of its beginning and its end."""

import logging
import sys

if __name__ == "__main__":
    # Beam sets the level of its loggers itself.
    logging.disable(logging.WARNING)

    from apache_beam.runners.worker import sdk_worker_main

    from video_repr._quiet import import_tensorflow

    import_tensorflow()
    sdk_worker_main.main(sys.argv)
