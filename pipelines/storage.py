"""Where films are read from and datasets written to."""

import functools


@functools.cache
def file_systems():
    """Beam's `FileSystems`, imported when they are first used.

    Arguments are read and checked in less time than Beam takes to import.
    """
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    # Buckets need some; an `Engine` with options sets its own.
    FileSystems.set_options(PipelineOptions([]))
    return FileSystems
