"""CSV rows become envelopes as the mapping says; everything wrong with a mapping is told at once."""

import io
from pathlib import Path

import orjson
import pytest

from app.contract.envelope import Rejection, Signal, parse_signal
from app.errors import CallerError
from app.ingest.candidate import Candidate
from app.ingest.csv_rows import csv_candidates
from app.ingest.mapping import CsvMapping, load_mapping

PURCHASES = """
events:
  - event_name: page_view
    event_id: {from: [$line, user_id]}
    user_id: $user_id
    ts: {column: date, format: "%Y%m%d"}
    context.route: /app/onboarding
  - event_name: billing_intent
    event_id: {from: [$line, user_id]}
    user_id: $user_id
    ts: {column: date, format: "%Y%m%d"}
    properties.name: plan_compare_opened
    properties.amount: {column: amount_usd, type: number}
    properties.quantity: {column: quantity, type: integer}
    properties.price_text: $$5
    properties.tags: {constant: [cdnow]}
"""


def mapping_of(folder: Path, text: str) -> CsvMapping:
    file = folder / "mapping.yaml"
    file.write_text(text)
    return load_mapping(file)


def candidates_of(mapping: CsvMapping, csv: bytes) -> list[Candidate]:
    return list(csv_candidates(io.BytesIO(csv), mapping, "purchases.csv"))


def test_a_row_makes_one_event_a_template(tmp_path: Path) -> None:
    csv = b"date,user_id,quantity,amount_usd\n19970101,00001,1,11.77\n19970101,00001,1,11.77\n"
    found = candidates_of(mapping_of(tmp_path, PURCHASES), csv)
    signals = [parse_signal(c.envelope) for c in found if isinstance(c.envelope, bytes)]
    assert [c.line for c in found] == [2, 2, 3, 3]
    assert all(isinstance(signal, Signal) for signal in signals)
    assert len({signal.event_id for signal in signals}) == 4  # equal rows are different purchases
    assert orjson.loads(found[1].original) == {
        "event_name": "billing_intent",
        "event_id": signals[1].event_id,
        "user_id": "00001",
        "ts": "1997-01-01T00:00:00.000000Z",
        "properties": {"name": "plan_compare_opened", "amount": 11.77, "quantity": 1, "price_text": "$5", "tags": ["cdnow"]},
    }


def test_the_same_file_gives_the_same_ids_again(tmp_path: Path) -> None:
    csv = b"date,user_id,quantity,amount_usd\n19970101,00001,1,11.77\n"
    mapping = mapping_of(tmp_path, PURCHASES)
    assert candidates_of(mapping, csv) == candidates_of(mapping, csv)


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        (b"19970101,1,one,2.0", "invalid_field", "column quantity is 'one'"),
        (b"1997-01-01,1,1,2.0", "invalid_field", "column date is '1997-01-01'"),
        (b"19970101,1,1", "malformed_csv", "3 cells, the header has 4"),
        (b"19970101,\xff\xfe,1,2.0", "malformed_csv", "UTF-8"),
        (b'19970101,"1"x,1,2.0', "malformed_csv", "expected after"),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_alone(tmp_path: Path, row: bytes, code: str, words: str) -> None:
    good = b"19970102,2,1,3.5\n"
    found = candidates_of(mapping_of(tmp_path, PURCHASES), b"date,user_id,quantity,amount_usd\n" + row + b"\n" + good)
    rejected, *others = found
    assert isinstance(rejected.envelope, Rejection)
    assert (rejected.line, rejected.original, rejected.envelope.code) == (2, row, code)
    assert words in rejected.envelope.message
    assert [c.line for c in others] == [3, 3]
    assert all(isinstance(c.envelope, bytes) for c in others)


def test_an_empty_cell_leaves_its_field_out_so_that_the_envelope_says_what_is_missing(tmp_path: Path) -> None:
    found = candidates_of(mapping_of(tmp_path, PURCHASES), b"date,user_id,quantity,amount_usd\n19970101,,1,2.0\n")
    assert isinstance(found[0].envelope, bytes)
    rejection = parse_signal(found[0].envelope)
    assert isinstance(rejection, Rejection)
    assert rejection.code == "missing_user"


def test_every_problem_of_a_mapping_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(CallerError) as caught:
        mapping_of(
            tmp_path,
            "event_name: page_view\nuserid: $u\nts: {column: d, type: date}\nproperties: $p\nproperties.a: {colum: x}\n",
        )
    for problem in ("has no event_id", "'userid' is no field", "type 'date'", "both properties and properties.a", "['colum']"):
        assert problem in str(caught.value)


def test_a_column_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no column amount_usd, quantity; its columns are date, user_id"):
        candidates_of(mapping_of(tmp_path, PURCHASES), b"date,user_id\n")
