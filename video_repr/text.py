"""Reads text that other programs wrote: lists, tables, checksums."""

import codecs


def decode(data, errors="strict"):
    """The text of a file.

    Args:
        data: its bytes, UTF-8, or UTF-16 if it has a byte order mark of that.
        errors: as for `bytes.decode`.

    Returns:
        A string without the mark.

    Raises:
        ValueError: if it is not text.
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

    `str.splitlines` would also end lines at U+2028 and other characters that
    file names can contain.

    Args:
        data: its bytes, as for `decode`.
        errors: as for `decode`.

    Returns:
        A list of strings.

    Raises:
        ValueError: if it is not text.
    """
    text = decode(data, errors)
    return [line.removesuffix("\r") for line in text.split("\n")]
