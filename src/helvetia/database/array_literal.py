"""Many values in PostgreSQL's own notations: arrays of a column, one text each, and the text of COPY; read in C.

The driver asks of every element how it is written; for tens of thousands of rows that costs more than the rows do. Only
for values whose text is known to need no quoting, or is quoted here.
"""

from collections.abc import Iterable


def plain_array(values: Iterable[object]) -> str:
    """Numbers, UUIDs, instants, truth values and None; pass it to a parameter with a cast, as in `%s::bigint[]`."""
    return "{" + ",".join(map(str, values)).replace("None", "NULL") + "}"


def text_array(values: Iterable[str]) -> str:
    """Texts of any content."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join([f'"{value}"' for value in quoted]) + "}"


def copy_text(value: str) -> str:
    """A text of any content as a value of COPY's text format."""
    return value.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")
