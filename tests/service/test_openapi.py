"""The API's description of itself is true: fuzzed from its own document, it keeps its word."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from service import batches, corrections, deliveries, documents, inbound, routing, shadow
from service.errors import PROBLEMS
from tests.service.conftest import Issue


@schemathesis.serializer("message/rfc822")
def raw_mail(_: object, value: object) -> bytes:
    """Send a made-up mail as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


BLUEPRINTS = (
    documents.bp,
    batches.bp,
    inbound.bp,
    corrections.bp,
    deliveries.bp,
    routing.bp,
    shadow.bp,
)
OPERATIONS = [
    (path, method)
    for blueprint in BLUEPRINTS
    for path, item in blueprint.paths.items()
    for method in ("get", "post", "put", "delete")
    if getattr(item, method)
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_api_does_what_its_document_says(
    app: Flask, issue: Issue, path: str, method: str, mode: GenerationMode
) -> None:
    """No input leads to a 500, and every answer is one that the document names."""
    headers = {"Authorization": f"Bearer {issue()}"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    operation = schema[path][method.upper()]
    # a made-up kind or cursor fits the schema and is refused all the same
    excluded = [positive_data_acceptance]
    if path.endswith("/raw"):
        excluded.append(negative_data_rejection)  # it takes any bytes

    @hypothesis.settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def keeps_its_word(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    keeps_its_word()


def test_the_document_is_valid(app: Flask) -> None:
    """Generators of clients take it."""
    document = app.test_client().get("/api/v1/openapi.json").json
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_error_that_a_view_documents_is_a_problem(app: Flask) -> None:
    """One form for all errors, so that a client needs to know one."""
    document = app.test_client().get("/api/v1/openapi.json").json
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status >= "4":
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
                    assert int(status) in {known for known, _ in PROBLEMS.values()}


def test_every_code_of_the_ledger_has_a_status() -> None:
    """A refusal of the ledger that this table lacks would look like a fault of ours."""
    from ledger import errors

    ours = {
        one.code
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.LedgerError)
    }
    # what only commands meet
    ours -= {"ledger_error", "backup_error", "target_not_empty"}
    assert ours <= PROBLEMS.keys()


def test_the_page_of_the_api_loads_nothing_from_elsewhere(app: Flask) -> None:
    """The reference works where there is no internet."""
    answer = app.test_client().get("/api/v1/docs")
    assert answer.status_code == 200
    for code in PROBLEMS:
        assert f'id="{code}"' in answer.text
    assert "://" not in answer.text.replace("http://localhost", "")
