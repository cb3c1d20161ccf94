"""The check of policy files before anything reaches the log: all errors of all files at once, each with file and line.

The files are checked against one catalogue, against each other, and against the policies that live.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from app.contract.catalogue import Catalogue
from app.governance.documents import Document, Finding, read_document
from app.governance.places import Place, place_of, place_problems
from app.governance.rules import body_problems


def validate_files(paths: Sequence[Path], catalogue: Catalogue, living: Iterable[Place] = ()) -> list[Finding]:
    """All findings, by file in the order given and by line; an error among them means: refused."""
    return validate_documents([read_document(path) for path in paths], catalogue, living)


def validate_documents(documents: Sequence[Document], catalogue: Catalogue, living: Iterable[Place] = ()) -> list[Finding]:
    readable = [document for document in documents if document.value is not None or not document.findings]
    places = {index: place for index, document in enumerate(readable) if (place := place_of(document.value)) is not None}
    given = {place.key for place in places.values()}
    # A given file replaces the living version of its own policy.
    others = [place for place in living if place.key not in given]
    found = {id(document): list(document.findings) for document in documents}
    for index, document in enumerate(readable):
        mine = found[id(document)]
        mine += [document.finding(problem) for problem in body_problems(document.value, catalogue)]
        if (place := places.get(index)) is None:
            continue
        earlier = {number: other for number, other in places.items() if number < index}
        mine += [document.finding(problem) for problem in place_problems(place, [*others, *earlier.values()])]
        mine += _same_key(
            document, place, {number: readable[number].file for number, o in earlier.items() if o.key == place.key}
        )
    return [finding for document in documents for finding in sorted(found[id(document)], key=lambda f: (f.line, f.field))]


def _same_key(document: Document, place: Place, files: dict[int, str]) -> list[Finding]:
    return [
        Finding(
            document.file, document.lines.get(("key",), 1), "key", f"the key {place.key!r} is also that of {file}", "Rename one"
        )
        for file in files.values()
    ]
