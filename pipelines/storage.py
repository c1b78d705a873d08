"""Where films are read from and datasets written to."""


def file_systems():
    """Beam's `FileSystems`, imported when they are first used.

    Arguments are read and checked in less time than Beam takes to import.
    """
    from apache_beam.io.filesystems import FileSystems

    return FileSystems
