"""Read tables that people wrote, row by row, with commas, semicolons or tabs, in UTF-8 or UTF-16."""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fer_tasks.labels import groups_among
from fer_tasks.sources.errors import SourceError

SUFFIXES = (".csv", ".tsv")
SEPARATORS = ",;\t|"  # the first one wins if several split the header into equally many columns
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])?"?', re.I)  # Excel's first line; a tab is stripped
HEADER = 65_536  # characters at most in a header


def is_table(path: Path) -> bool:
    """Whether the path is a file with a table's suffix; its content is not read."""
    return path.suffix.lower() in SUFFIXES and os.path.isfile(path)


def columns(path: Path) -> list[str]:
    """The names of a table's columns in lower case; an empty list if it cannot be read."""
    try:
        with _open(path) as file:
            return _header(file)[0]
    except (OSError, UnicodeError, csv.Error):
        return []


def groups_of(row: Mapping[str | None, str]) -> dict[str, str]:
    """The values of a row's columns `group_…`, stripped of spaces."""
    return {name: row[name].strip() for name in groups_among(filter(None, row))}


def rows(path: Path) -> Iterator[tuple[int, dict[str | None, str]]]:
    """Yield each row's number, as a spreadsheet counts them, and its values by column in lower case.

    A missing value is ""; values beyond the last column are under None.

    Raises:
        SourceError: the table cannot be read after a row, whose number the message states.
    """
    number = 0
    try:
        with _open(path) as file:
            names, separator, above = _header(file)
            reader = csv.DictReader(
                file, names, restval="", delimiter=separator, skipinitialspace=True, strict=True
            )
            number = above + 1
            for row in reader:
                number = above + 1 + reader.line_num
                yield number, row
    except UnicodeError:
        raise SourceError(
            f"download.source: {path} is not in UTF-8 or UTF-16 after row {number}; save it as CSV in UTF-8"
        ) from None
    except (OSError, csv.Error) as error:
        raise SourceError(f"download.source: {path} cannot be read after row {number}: {error}") from None


def _open(path: Path) -> io.TextIOWrapper:
    with path.open("rb") as file:
        start = file.read(2)
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return path.open(encoding=encoding, newline="")


def _header(file: io.TextIOWrapper) -> tuple[list[str], str, int]:
    """The names of the columns, the separator, and how many lines lie above the header: empty lines, or
    Excel's line that declares the separator."""
    above, declared = 0, ""
    while line := file.readline(HEADER):
        if match := SEPARATOR_LINE.fullmatch(line.strip()):
            declared = match[1] or "\t"
        elif line.strip():
            break
        above += 1
    headers = {
        separator: next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        for separator in SEPARATORS
    }
    separator = declared or max(SEPARATORS, key=lambda separator: len(headers[separator]))
    return [name.strip().lower() for name in headers[separator]], separator, above
