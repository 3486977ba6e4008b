"""Series over the API: what is taken, what is refused, and what a job leaves."""

from __future__ import annotations

import io

import polars as pl
import pytest

from ledger import Ledger, Viewer
from tests.service.conftest import Api, Person

CSV = b"shop,date,units\nA,2026-01-01,3\n"
FORM = "multipart/form-data"
DEMONSTRATION = {"data": {"demonstration": "yes"}, "content_type": FORM}
PAYMENT = {
    "transaction_id": "T1",
    "card": "C1",
    "terminal": "S1",
    "time": "2026-03-01T10:00:00",
    "amount": 12.5,
}

UNKNOWN = {"transaction_id": "nobody", "is_fraud": True}


def table(body: bytes = CSV, name: str = "sales.csv") -> dict[str, object]:
    return {"file": (io.BytesIO(body), name)}


def done(ledger: Ledger, job_id: str) -> None:
    """Do what a worker does with a job on payments."""
    assert ledger.jobs.claim("series", holder="worker", lease_seconds=60)
    body = io.BytesIO()
    pl.DataFrame({"card": ["C1", "C2"], "score": [0.9, 0.1]}).write_parquet(body)
    said = {"number": "T1", "card": "C1", "terminal": "S", "paid_at": "2026-01-01T10:00:00"}
    found = [said | {"amount": 9.0, "score": 0.9, "reasons": [{"text": "much"}, {"row": 1}]}]
    assert ledger.jobs.finish(
        job_id,
        holder="worker",
        result={"transactions": 2},
        outputs={"scores.parquet": ledger.files.put(body.getvalue())},
        found=found,
    )


def test_a_table_is_taken_once_and_its_place_is_said(api: Api, other_api: Api) -> None:
    """The answer says where to look; the same key is the same job; strangers find nothing."""
    key = {"Idempotency-Key": "k"}
    said = table() | {"horizon": "7", "series": "shop", "known": "promo, price"}
    answer = api("POST", "/api/v1/series/demand", data=said, headers=key)
    assert answer.status_code == 202
    job = api("GET", answer.headers["Location"]).json
    assert (job["state"], job["task"], job["input_name"]) == ("waiting", "demand", "sales.csv")
    assert job["options"] == {"horizon": 7, "series": ["shop"], "known": ["promo", "price"]}
    again = table() | {"horizon": "7", "series": "shop", "known": "promo, price"}
    assert api("POST", "/api/v1/series/demand", data=again, headers=key).json["repeated"]
    assert other_api("GET", answer.headers["Location"]).status_code == 404
    assert api("POST", f"{answer.headers['Location']}/cancel").json["state"] == "cancelled"
    assert api("DELETE", answer.headers["Location"]).status_code == 204
    assert api("GET", answer.headers["Location"]).status_code == 404


@pytest.mark.parametrize(
    ("task", "said", "status"),
    [
        ("demand", table() | {"horizon": "0"}, 422),
        ("demand", table() | {"horizon": "7.5"}, 422),
        ("demand", table() | {"short": "-1"}, 422),
        ("demand", table() | {"short": "inf"}, 422),
        ("fraud", table() | {"budget": "many"}, 422),
        ("fraud", table(b""), 422),
        ("fraud", table(name="payments.exe"), 415),
        ("fraud", {"budget": "5"}, 422),
        ("churn", table(), 422),
    ],
)
def test_what_makes_no_sense_is_refused(
    api: Api, task: str, said: dict[str, object], status: int
) -> None:
    """A mistake is said at once, as a problem document, and not found in a job's end."""
    answer = api("POST", f"/api/v1/series/{task}", data=said, content_type=FORM)
    assert answer.status_code == status
    assert answer.json["code"]
    assert api("GET", "/api/v1/series/jobs").json["items"] == []


def test_outputs_come_as_they_are_and_as_csv(api: Api, ledger: Ledger) -> None:
    """What a job left can be fetched, by whoever reads Parquet and whoever does not."""
    answer = api("POST", "/api/v1/series/fraud", **DEMONSTRATION)
    place = answer.headers["Location"]
    missing = api("GET", f"{place}/outputs/scores.parquet")
    assert (missing.status_code, missing.json["code"]) == (409, "not_read")
    done(ledger, answer.json["id"])
    kept = api("GET", f"{place}/outputs/scores.parquet").data
    assert pl.read_parquet(io.BytesIO(kept)).columns == ["card", "score"]
    assert api("GET", f"{place}/outputs/scores.parquet?format=csv").text.splitlines() == [
        "card,score",
        "C1,0.9",
        "C2,0.1",
    ]
    assert api("GET", f"{place}/outputs/nothing.parquet").status_code == 404


def test_alerts_are_decided_and_who_did_is_kept(api: Api, other_api: Api, ledger: Ledger) -> None:
    """An alert is worked over the API as on the page."""
    job = api("POST", "/api/v1/series/fraud", **DEMONSTRATION).json["id"]
    done(ledger, job)
    (alert,) = api("GET", f"/api/v1/series/alerts?job={job}").json["items"]
    assert alert["reasons"] == [{"text": "much"}]
    place = f"/api/v1/series/alerts/{alert['id']}/decision"
    assert other_api("POST", place, json={"state": "dismissed"}).status_code == 404
    assert api("POST", place, json={"state": "maybe"}).status_code == 422
    said = api("POST", place, json={"state": "confirmed", "note": "called"})
    assert said.json["state"] == "confirmed"
    assert api("GET", f"/api/v1/series/alerts?job={job}&state=open").json["items"] == []
    (verdict,) = ledger.alerts.verdicts(alert["id"], Viewer())
    assert verdict.note == "called"


def test_payments_are_kept_once_and_another_under_the_number_is_refused(api: Api) -> None:
    """With no worker there the sender is told where to look, and may send again."""
    path = "/api/v1/series/fraud/transactions"
    first = api("POST", path, json={"transactions": [PAYMENT], "wait": 0})
    assert first.status_code == 202
    (payment,) = first.json["transactions"]
    assert (payment["state"], payment["repeated"]) == ("waiting", False)
    assert api("GET", first.headers["Location"]).json["id"] == payment["id"]
    again = api("POST", path, json={"transactions": [PAYMENT], "wait": 0}).json["transactions"]
    assert [(one["id"], one["repeated"]) for one in again] == [(payment["id"], True)]
    other = api("POST", path, json={"transactions": [PAYMENT | {"amount": 1.0}], "wait": 0})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_conflict")
    for bad in ({"amount": -1}, {"time": "soon"}, {"card": ""}, {"transaction_id": " "}):
        refused = api("POST", path, json={"transactions": [PAYMENT | bad], "wait": 0})
        assert refused.status_code == 422
    told = {"labels": [{"transaction_id": "T1", "is_fraud": True}, UNKNOWN]}
    assert api("POST", "/api/v1/series/fraud/labels", json=told).json == {
        "taken": 1,
        "unknown": ["nobody"],
    }


def test_columns_are_recognised_and_confirmed_on_a_page(person: Person, ledger: Ledger) -> None:
    """What a person says of the columns is what the job is told."""
    mark = person.mark("/series")
    form = {"csrf_token": mark, **table(b"filial,tag,menge,promo\nA,2026-01-01,3,0\n")}
    answer = person.client.post("/series/demand", data=form)
    assert answer.status_code == 303
    page = person.client.get(answer.headers["Location"])
    assert page.status_code == 200
    assert "filial" in page.text
    kept = answer.headers["Location"].split("kept=")[1]
    said = {
        "csrf_token": mark,
        "kept": kept,
        "column": ["filial", "tag", "menge", "promo"],
        "role": ["series", "time", "target", "known"],
        "horizon": "7",
    }
    begun = person.client.post("/series/demand/jobs", data=said)
    job = ledger.jobs.get(begun.headers["Location"].rpartition("/")[2], Viewer())
    assert job.options == {
        "horizon": 7,
        "series": ["filial"],
        "time": "tag",
        "target": "menge",
        "known": ["promo"],
    }
    twice = person.client.post(
        "/series/demand/jobs", data=said | {"role": ["time", "time", "target", ""]}
    )
    assert "columns" in twice.headers["Location"]  # back, with a sentence
    forged = person.client.post("/series/demand/jobs", data=said | {"kept": f"x{kept}"})
    assert "/series/jobs/" not in forged.headers["Location"]
