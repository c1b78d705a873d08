"""Text that other programs wrote: lists, tables, sums."""

import codecs


def decode(data, errors="strict"):
    """The text of a file.

    Args:
        data: its bytes, UTF-8, or UTF-16 where a byte order mark says so.
        errors: as of `bytes.decode`.

    Returns:
        A string without the mark.

    Raises:
        ValueError: if it is no text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors)
    else:
        text = data.decode("utf-8-sig", errors)
    if "\0" in text:
        raise ValueError("it has zero bytes, as no text has")
    return text


def lines(data, errors="strict"):
    r"""The lines of a file, ended by \n or \r\n.

    Not those of `str.splitlines`, which ends a line at U+2028 and others that
    may stand in a file's name.

    Args:
        data: its bytes, as of `decode`.
        errors: as of `decode`.

    Returns:
        A list of strings.

    Raises:
        ValueError: if it is no text.
    """
    text = decode(data, errors)
    return [line.removesuffix("\r") for line in text.split("\n")]
