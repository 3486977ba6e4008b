"""Bad training files: every one a clear sentence and exit status 2, before any training."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from commands.evaluate import command as evaluate
from commands.train import command as train
from nlp.errors import BadFile, BadName, NameTaken, NoSuchField, NotEnoughData, TableError
from nlp.tables import read_table
from nlp.trainer import Job, train_file

ROWS = [{"text": "good", "label": "a", "n": 1}, {"text": "bad", "label": "b", "n": 2}]


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.csv", "t.parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    """One table, four kinds of file; rows without text or label are counted, not lost unseen."""
    rows = [*ROWS, {"text": " ", "label": "a", "n": 3}, {"text": "x", "label": None, "n": 4}]
    path = tmp_path / name
    frame = pl.DataFrame(rows)
    if name.endswith(".csv"):
        frame.write_csv(path)
    elif name.endswith(".parquet"):
        frame.write_parquet(path)
    else:
        content = "\n".join(json.dumps(row) for row in rows).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    table = read_table(path)

    assert (table.texts, table.labels, table.left_out) == (["good", "bad"], ["a", "b"], 2)
    assert list(table.unlabelled) == ["x"]
    assert read_table(path, label="n").labels[:2] == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.jsonl", b'{"text": "a", "label": "b"}\n{oops', r"line 2: not JSON"),
        ("t.jsonl", b"[1]\n", r"line 1: not a JSON object"),
        ("t.jsonl", b"", "no rows"),
        ("t.jsonl", b'{"text": "\xff", "label": "b"}', "line 1"),
        ("t.jsonl.gz", b"not gzip", "cannot be read"),
        ("t.jsonl.gz", gzip.compress(b'{"text": "a"}' * 99)[:-9], "t.jsonl.gz"),
        ("t.csv", b"", "cannot be read"),
        ("t.parquet", b"PAR1 not", "cannot be read"),
        ("t.xlsx", b"x", "must end in"),
    ],
)
def test_a_bad_file_says_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    """No stack trace, and where there are lines, which one."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadFile, match=says):
        read_table(path)


def test_a_missing_field_says_which_there_are(tmp_path: Path) -> None:
    """A misspelt column is found out at once, in both kinds of format."""
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    with pytest.raises(NoSuchField, match="label, n, text"):
        read_table(path, text="body")
    pl.DataFrame(ROWS).write_csv(tmp_path / "t.csv")
    with pytest.raises(NoSuchField, match="label, n, text"):
        read_table(tmp_path / "t.csv", text="body")


@pytest.mark.parametrize(
    ("name", "rows", "says"),
    [
        ("mine", [{"text": "a", "label": "x"}] * 5, "at least two labels"),
        ("mine", [{"text": f"a{i}", "label": "xy"[i % 2]} for i in range(6)], "not enough data"),
        ("mine", [{"text": f"a{i}", "label": str(i)} for i in range(40)], "not enough data"),
        ("mine", [{"text": "a"}] * 9, "label"),
        ("review", ROWS * 20, "shipped model"),
        ("../mine", ROWS * 20, "no name for a model"),
    ],
)
def test_what_cannot_be_learned_is_said_before_training(
    tmp_path: Path, name: str, rows: list[dict], says: str
) -> None:
    """A sentence; nothing is written."""
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))

    with pytest.raises((TableError, NotEnoughData, NameTaken, BadName), match=says):
        train_file(Job(name=name, file=path, models_dir=tmp_path / "models"))

    assert not (tmp_path / "models").exists()


def test_a_training_that_cannot_be_is_exit_status_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the training process finds wrong is the command's answer, in JSON too."""
    monkeypatch.setenv("MAILROOM_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))

    done = CliRunner().invoke(train, ["mine", str(path), "--json"])

    assert done.exit_code == 2, done.output
    assert json.loads(done.stdout)["error"]["code"] == "not_enough_data"


def test_evaluating_the_impossible_is_exit_status_two(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights_folder: Path,
    rows_file: Callable[..., Path],
) -> None:
    """No model, no file, no label in common: three sentences."""
    monkeypatch.setenv("MAILROOM_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    for arguments, says in (
        (["nobody", str(path)], "no model 'nobody'"),
        ([str(weights_folder), str(tmp_path / "none.jsonl")], "no file"),
        ([str(weights_folder), str(path)], "none of the labels"),
        ([str(weights_folder), str(path), "--head", "mood"], "wish"),
    ):
        done = CliRunner().invoke(evaluate, [*arguments, "--json"])
        assert done.exit_code == 2, done.output
        assert says in json.loads(done.stdout)["error"]["message"]
