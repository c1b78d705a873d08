"""A Beam worker process that does not log its start and its end."""

import logging
import sys

if __name__ == "__main__":
    # Beam itself sets the level of its loggers.
    logging.disable(logging.WARNING)

    from apache_beam.runners.worker import sdk_worker_main

    from video_repr._quiet import import_tensorflow

    import_tensorflow()
    sdk_worker_main.main(sys.argv)
