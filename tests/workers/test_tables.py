"""Files of rows: what comes back is what came, row by row, with our columns beside it."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.tables import BadTable, Limits, columns, table_of
from workers.tables.names import result_name, sniff

LIMITS = Limits(rows=3, characters=1000)
OUTCOME = {
    "labels": {
        "sentiment": {
            "value": "positive",
            "confidence": 0.9,
            "needs_review": False,
            "evidence": [{"start": 0, "end": 1, "weight": 1.0}],
        }
    }
}


def through(
    folder: Path, body: bytes, file_format: str, text: str | None = None, stop_after: int = 0
) -> tuple[bytes, list[Any]]:
    """Cut a file, answer every row with its own text as its label, and merge it again."""
    path = folder / "input"
    path.write_bytes(body)
    table = table_of(file_format)
    layout = json.loads(json.dumps(table.look(path, kind="review", text_column=text)))
    cuts = []
    cursor = None
    while True:  # with `stop_after`, the split dies and goes on again and again
        for number, cut in enumerate(table.cuts(path, layout, cursor, LIMITS), start=1):
            cuts.append(cut)
            cursor = json.loads(json.dumps(cut.cursor))
            if number == stop_after:
                break
        else:
            break
    outputs, seen = [], []
    for cut in cuts:
        items = table.items(cut.body, layout)
        assert len(items) == cut.rows
        answers = []
        for item in items:
            seen.append(item)
            if isinstance(item, dict):
                answers.append(columns.answer(layout["ours"], None, item))
            else:
                answers.append(columns.answer(layout["ours"], OUTCOME, None))
        outputs.append(table.render(cut.body, layout, answers))
    return b"".join(table.merge(layout, iter(outputs))), seen


def test_csv_keeps_every_byte_of_the_user(tmp_path: Path) -> None:
    """Quotes, line breaks in cells, formulas, bytes that are no UTF-8: all as they came."""
    rows = [
        b'1,"a ""quoted"" one, with comma",=SUM(A1)\r\n',
        b'2,"two\r\nlines",-1\r\n',
        b"3,caf\xe9,@x\r\n",
        b"\r\n",
        b"4,,+\r\n",
        b"5,last,z",
    ]
    body = b"\xef\xbb\xbfid,text,x\r\n" + b"".join(rows)
    result, seen = through(tmp_path, body, "csv")

    assert seen == ['a "quoted" one, with comma', "two\r\nlines", "café", "", "last"]
    assert result.startswith(b"\xef\xbb\xbfid,text,x,sentiment,sentiment_confidence,needs_review,")
    for row in rows:
        if row.strip():
            assert row.rstrip(b"\r\n") + b",positive,0.9,false," in result
    table = list(csv.DictReader(io.StringIO(result.decode("utf-8-sig", "replace"))))
    assert [row["id"] for row in table] == ["1", "2", "3", "4", "5"]
    assert json.loads(table[0]["evidence"])["sentiment"][0]["end"] == 1
    assert {row["error"] for row in table} == {""}


def test_a_row_that_is_none_costs_no_other(tmp_path: Path) -> None:
    """A quote that never closes, too many cells, too few: errors in their rows."""
    body = b'id,text\n1,good\n2,"never closed\n3,fine,too,many\n4\n5,good\n'
    result, seen = through(tmp_path, body, "csv")

    table = list(csv.DictReader(io.StringIO(result.decode())))
    assert len(table) == 5
    assert [bool(row["error"]) for row in table] == [False, True, True, True, False]
    assert table[1]["id"] == '2,"never closed'
    assert json.loads(table[2]["error"])["surplus"] == ["too", "many"]
    assert [item for item in seen if isinstance(item, str)] == ["good", "good"]


def test_semicolons_tabs_and_a_name_that_is_taken(tmp_path: Path) -> None:
    """What spreadsheets write elsewhere; and a column of the user's is never overwritten."""
    result, seen = through(tmp_path, b"error;body\nmine;hello, you\n", "csv", text="body")
    assert seen == ["hello, you"]
    (row,) = csv.DictReader(io.StringIO(result.decode()), delimiter=";")
    assert (row["error"], row["mailroom_error"], row["sentiment"]) == ("mine", "", "positive")


def test_what_spreadsheets_would_compute_is_never_ours() -> None:
    """A model's label may be anything its trainer wrote."""
    for label in ("=1+1", "+1", "-1", "@x", "\tx"):
        assert columns.cell(label)[0] == "'"
    assert columns.cell(None) == ""
    assert columns.cell({"code": "x"}) == '{"code":"x"}'


def test_json_lines_are_kept_as_written(tmp_path: Path) -> None:
    """Numbers no float holds stay as they are; a line that is no object says so."""
    lines = [
        '{"text": "one", "n": 1.00000000000000000001}',
        "{not json}",
        "",
        '{"text": 7}',
        '{"text": "x", "error": "mine"}',
        '["list"]',
        '{"no": "text"}',
    ]
    result, seen = through(tmp_path, "\n".join(lines).encode(), "jsonl")

    found = [json.loads(line) for line in result.splitlines()]
    assert len(found) == 6
    assert b'{"text": "one", "n": 1.00000000000000000001,"sentiment":"positive"' in result
    assert found[0]["evidence"]["sentiment"]
    codes = [(row.get("error") or {}) for row in found if row.get("error") != "mine"]
    assert [code.get("code") for code in codes] == [
        None,
        "bad_json",
        "bad_row",
        "bad_json",
        "bad_row",
    ]
    assert found[1]["_raw"] == "{not json}"
    assert (found[3]["error"], found[3]["mailroom_error"]) == ("mine", None)
    assert [item for item in seen if isinstance(item, str)] == ["one", "x"]


def test_parquet_keeps_its_types_and_its_order(tmp_path: Path) -> None:
    """Columns come back as they were, a row without a text is an error, row groups or not."""
    frame = pl.DataFrame(
        {
            "id": range(20),
            "text": [None if n == 7 else f"text {n}" for n in range(20)],
            "when": [None, 1.5] * 10,
        }
    )
    written = io.BytesIO()
    frame.write_parquet(written, row_group_size=6)
    result, seen = through(tmp_path, written.getvalue(), "parquet", stop_after=2)

    read = pl.read_parquet(io.BytesIO(result))
    assert read.select(frame.columns).equals(frame)
    assert seen[6] == "text 6"
    assert json.loads(read["error"][7])["code"] == "no_text"
    assert read["needs_review"].to_list() == [False] * 7 + [None] + [False] * 12
    assert read["sentiment_confidence"].dtype == pl.Float64


def test_parquet_without_rows(tmp_path: Path) -> None:
    """A result with the columns and no rows."""
    written = io.BytesIO()
    pl.DataFrame({"text": pl.Series([], dtype=pl.String)}).write_parquet(written)
    result, _ = through(tmp_path, written.getvalue(), "parquet")
    assert pl.read_parquet(io.BytesIO(result)).columns[:2] == ["text", "sentiment"]


def test_a_zip_is_read_file_by_file(tmp_path: Path) -> None:
    """Names that would leave a folder are names and nothing more."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.mkdir("folder")
        for number in range(7):
            archive.writestr(f"folder/{number}.txt", f"text {number}")
        archive.writestr("../../outside.txt", "x")
    result, seen = through(tmp_path, packed.getvalue(), "zip", stop_after=1)

    found = [json.loads(line) for line in result.splitlines()]
    assert [row["path"] for row in found] == [f"folder/{n}.txt" for n in range(7)] + [
        "../../outside.txt"
    ]
    assert seen[3] == b"text 3"
    assert not (tmp_path.parent / "outside.txt").exists()


def test_a_zip_that_unpacks_to_far_too_much_is_refused(tmp_path: Path) -> None:
    """A bomb costs bounded bytes."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(30):
            archive.writestr(f"{number}", b"\0" * 20_000_000)
    table = table_of("zip")
    layout = table.look(path, kind="review", text_column=None)
    with pytest.raises(BadTable, match="unpacks"):
        for _ in table.cuts(path, layout, None, LIMITS):
            pass


@pytest.mark.parametrize(
    ("body", "file_format", "text", "code"),
    [
        (b"", "csv", None, "empty_file"),
        (b"a,b\n1,2\n", "csv", None, "no_such_column"),
        (b"a,b\n1,2\n", "csv", "c", "no_such_column"),
        ("text\nx\n".encode("utf-16"), "csv", None, "bad_encoding"),
        (b"\n\n", "jsonl", None, "empty_file"),
        (b"PAR1 and no more", "parquet", None, "corrupt_file"),
        (b"PK\x03\x04 and no more", "zip", None, "corrupt_file"),
    ],
)
def test_what_cannot_be_read_at_all_is_said(
    tmp_path: Path, body: bytes, file_format: str, text: str | None, code: str
) -> None:
    """Before a model runs, with a sentence that says what to do."""
    with pytest.raises(BadTable) as caught:
        through(tmp_path, body, file_format, text)
    assert caught.value.code == code


cells = st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=12)


@given(rows=cells, stop_after=st.integers(0, 3))
def test_any_csv_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], stop_after: int
) -> None:
    """Whatever stands in cells: as many rows, in order, each with its own cells and answer."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(("a", "text", "b"))
    kept = [tuple(cell.encode("utf-8", "replace").decode() for cell in row) for row in rows]
    writer.writerows(kept)
    folder = tmp_path_factory.mktemp("any")
    result, seen = through(folder, written.getvalue().encode(), "csv", stop_after=stop_after)

    assert seen == [row[1] for row in kept]
    back = list(csv.reader(io.StringIO(result.decode(), newline="")))
    assert [tuple(row[:3]) for row in back[1:]] == kept
    assert {row[3] for row in back[1:]} == {"positive"}


def test_formats_are_known_by_their_bytes() -> None:
    """A name may lie; what only a name can tell, it tells."""
    assert sniff("x.csv", b"PK\x03\x04") == "zip"
    assert sniff("x.txt", b"PAR1") == "parquet"
    assert sniff("x.parquet", b"a,b\n") is None
    assert sniff("x", b' {"text"') == "jsonl"
    assert sniff("x", b"text\n") == "csv"
    assert sniff("x.csv", b"\0\1\2") is None
    assert result_name("a.tsv", "csv") == "a-read.tsv"
    assert result_name("folder.zip", "zip") == "folder-read.jsonl"
