"""CSV rows into candidates, by a compiled mapping. Refuses a header that lacks a column of the mapping."""

import csv
from collections.abc import Iterator
from typing import IO

import orjson

from app.contract.envelope import Rejection
from app.contract.templates import LINE, BadValueError
from app.errors import CallerError
from app.ingest.candidate import MAX_LINE_BYTES, Candidate
from app.ingest.mapping import CsvMapping, Row


class _Lines:
    """The text lines that csv.reader pulls, with the bytes of the row it is in: that is what a dead letter keeps."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.taken = b""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        # A quote that is never closed would take the whole file.
        self.taken = (self.taken + raw)[:MAX_LINE_BYTES]
        # Bytes that are no UTF-8 survive as surrogates, which no JSON takes: the row is rejected, not the file.
        return raw.decode("utf-8", errors="surrogateescape")

    def row_bytes(self) -> bytes:
        taken, self.taken = self.taken, b""
        return taken.strip()


def csv_candidates(stream: IO[bytes], mapping: CsvMapping, name: str) -> Iterator[Candidate]:
    """Each row gives one candidate a template; one that cannot be read gives a single rejected candidate."""
    lines = _Lines(stream)
    reader = csv.reader(lines, strict=True)
    header = _header(reader, mapping, name)
    lines.row_bytes()
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Candidate(reader.line_num, lines.row_bytes(), _malformed(str(error)))
            continue
        original = lines.row_bytes()
        if not cells:
            continue
        if len(cells) != len(header):
            yield Candidate(reader.line_num, original, _malformed(f"{len(cells)} cells, the header has {len(header)}"))
            continue
        row = dict(zip(header, cells, strict=True)) | {LINE: str(reader.line_num)}
        yield from _mapped(reader.line_num, original, mapping, row)


def _header(reader: Iterator[list[str]], mapping: CsvMapping, name: str) -> list[str]:
    try:
        header = [cell.removeprefix("\ufeff").strip() for cell in next(reader)]
    except (StopIteration, csv.Error) as error:
        raise CallerError(f"{name} has no CSV header", "The first line names the columns") from error
    missing = sorted(mapping.columns - set(header))
    if missing:
        raise CallerError(
            f"{name} has no column {', '.join(missing)}; its columns are {', '.join(header)[:400]}", "Correct the mapping"
        )
    return header


def _mapped(line: int, original: bytes, mapping: CsvMapping, row: Row) -> Iterator[Candidate]:
    try:
        envelopes = [orjson.dumps(event) for event in mapping.events(row)]
    except BadValueError as error:
        yield Candidate(line, original, Rejection("invalid_field", f"{error}; correct the cell or the mapping"))
    except (orjson.JSONEncodeError, UnicodeEncodeError) as error:
        yield Candidate(line, original, _malformed(f"{error}; write the file as UTF-8"))
    else:
        yield from (Candidate(line, envelope, envelope) for envelope in envelopes)


def _malformed(why: str) -> Rejection:
    return Rejection(
        "malformed_csv", f"the row is no CSV row of this file: {why}; quote cells that hold commas, quotes or line ends"
    )
