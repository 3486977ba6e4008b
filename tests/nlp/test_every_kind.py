"""Every document kind there is: its file, its weights, and what its reader promises."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nlp import kinds
from nlp.errors import UnknownKind
from nlp.outcome import Failure, Item, Outcome
from nlp.reader import Reader, load_reader
from nlp.recognition import recognise
from nlp.weights import SHIPPED, listing, shipped_names
from sequence.artifact import load_artifact, read_config

SAMPLES = {
    "review": "I loved this film. The acting was superb 😀, although the end felt slow.",
    "ticket": "Hello, I want to cancel my order and get a refund, please help me.",
    "email": "Hi Bob,\n\nCould you send me the report by Friday? 😀\n\nThanks\nAnn",
    "contract": (
        "This Agreement is entered into as of March 3, 2019 by and between Acme Corp. and "
        "Widget LLC. This Agreement shall be governed by the laws of the State of New York."
    ),
}


@pytest.fixture(params=kinds.names())
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind, by its file's name."""
    return str(request.param)


@pytest.fixture
def reader(kind: str) -> Reader:
    """The kind's reader, from the shipped weights."""
    return load_reader(kind)


def test_the_public_kinds_are_there() -> None:
    """Other programs rely on these names."""
    assert {"review", "ticket", "email", "contract"} <= set(kinds.names())
    with pytest.raises(UnknownKind, match="review"):
        kinds.get("invoice")


def test_asking_for_kinds_loads_no_torch() -> None:
    """The web side may look kinds up."""
    code = (
        "import sys, nlp, nlp.kind, nlp.outcome; from nlp import kinds;"
        "[kinds.get(n) for n in kinds.names()]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_its_reader_gives_the_public_outcome(kind: str, reader: Reader) -> None:
    """Heads, confidences, spans and language, as the design names them; plain JSON."""
    text = SAMPLES[kind]
    (outcome,) = reader([Item(text)])
    assert isinstance(outcome, Outcome)
    answer = json.loads(json.dumps(outcome.to_json()))

    assert answer["kind"] == kind
    assert set(answer["labels"]) == set(kinds.get(kind).heads)
    assert answer["language"] == "en"
    assert answer["read"] == {"characters": len(text), "of": len(text)}
    assert answer["schema_version"] == 1
    for head, label in answer["labels"].items():
        allowed = kinds.get(kind).heads[head]
        assert 0 <= label["confidence"] <= 1
        assert not allowed or label["value"] in allowed
        for piece in label["evidence"]:
            assert 0 <= piece["start"] < piece["end"] <= len(text)
            assert piece["weight"] > 0
    for entity in answer["entities"]:
        assert entity["label"] in kinds.get(kind).entities
        assert text[entity["start"] : entity["end"]].strip()


def test_bad_items_and_long_ones_have_their_place(kind: str, reader: Reader) -> None:
    """Nothing is a failure, ten thousand words are read to the end, and order is kept."""
    long = (SAMPLES[kind] + "\n\n") * 400
    first, empty, last = reader([Item(long), Item(""), Item(SAMPLES[kind])])
    assert isinstance(first, Outcome)
    assert isinstance(last, Outcome)
    assert isinstance(empty, Failure)
    assert (first.characters, first.of) == (len(long), len(long))


def test_another_language_needs_review(kind: str, reader: Reader) -> None:
    """No kind guesses at German."""
    german = "Sehr geehrte Damen und Herren, ich möchte meine Bestellung gern zurückgeben, danke."
    (outcome,) = reader([Item(german)])
    assert isinstance(outcome, Outcome)
    assert outcome.language == "de"
    assert all(label.needs_review and label.value is None for label in outcome.labels.values())
    assert outcome.entities == ()


def test_its_kind_is_recognised(kind: str) -> None:
    """A plain example of each kind is known without being told."""
    ((found, confidence),) = recognise([SAMPLES[kind]])
    assert found == kind
    assert 0.25 < confidence <= 1


def test_reviews_have_a_score_and_sentences() -> None:
    """From -1 to 1, for the document and each sentence, on the side of the answer."""
    text = "A wonderful, moving film. The popcorn was awful and stale."
    (outcome,) = load_reader("review")([Item(text)], sentences=True)
    assert isinstance(outcome, Outcome)
    answer = outcome.to_json()
    label = answer["labels"]["sentiment"]
    assert -1 <= label["score"] <= 1
    assert (label["score"] > 0) == (label["value"] == "positive")
    good, bad = answer["sentences"]
    assert text[good["start"] : good["end"]] == "A wonderful, moving film."
    assert good["score"] > bad["score"]


def test_what_a_mail_quotes_wants_no_answer() -> None:
    """Only the writer's own words count, where the mail says which they are."""
    own = "Thanks, all done."
    text = f"Re: report\n\n{own}\n\n> Could you please send me the report?"
    reader = load_reader("email")
    quoted, whole = reader([Item(text, mail={"reply_text": own}), Item(text)])
    assert isinstance(quoted, Outcome)
    assert isinstance(whole, Outcome)
    assert quoted.labels["wants_answer"].value == "no"
    assert whole.labels["wants_answer"].value == "yes"
    (piece,) = whole.labels["wants_answer"].evidence
    assert "Could you please" in text[piece.start : piece.end]


READ_TEXT = [name for name in shipped_names() if "languages" in read_config(SHIPPED / name)]


@pytest.mark.parametrize("name", READ_TEXT)
def test_shipped_weights_are_whole_small_and_described(name: str) -> None:
    """Hashes hold, a card with data and scores is there, and the size is within its limit."""
    artifact = load_artifact(SHIPPED / name)
    card = artifact.files["README.md"].decode()
    size = sum(file.stat().st_size for file in (SHIPPED / name).iterdir())

    assert artifact.config["name"] == name
    assert artifact.config["licence"]
    assert "ad at" in card
    assert size <= (24e6 if name == "contract" else 8e6)


def test_shipped_weights_fit_together() -> None:
    """At most 60 MB, at most 14 of them for tickets."""
    sizes = {model.name: model.size for model in listing(None)}
    assert sum(sizes.values()) <= 60e6
    assert sum(size for name, size in sizes.items() if name.startswith("ticket")) <= 14e6
