"""Routing rules: what they decide, why, what they would change, and where they are wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.facts import Facts, facts
from routing.rules import Decision, dry_run, evaluate
from routing.rules_file import WrongRules, parse

CAME = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
EXAMPLE = """
[triage]
queue = "triage"
confidence = 0.6

# everything from a customer that pays for it gets a mark, and goes on
[[rule]]
name = "Gold"
when.header.x-customer = "gold*"
then.tags = ["gold"]
then.priority = "urgent"
go_on = true

[[rule]]
name = "Newsletters"
when.bulk = true
then.queue = "archive"

[[rule]]
name = "Refunds"
when.label.team = "billing"
when.confidence.team = 0.9
when.text = ["refund", "money back"]
unless.from = "*@example.org"
then.queue = "refunds"
then.due = "4h"
then.tags = ["refund"]
then.send = ["helpdesk"]

[[rule]]
name = "Billing"
when.label.team = ["billing", "payments"]
then.queue = "billing"
then.send = ["helpdesk", "hook"]

[[rule]]
name = "Invoices"
[rule.when]
attachment = ["*.pdf", "*.xlsx"]
subject = "invoice"
[rule.then]
queue = "accounting"
hold = true
send = ["hook"]
"""
RULES = parse(EXAMPLE)


def a_mail(
    text: str = "Hello\n\nI want my Money\n back please",
    *,
    team: str = "billing",
    confidence: float = 0.95,
    **more: Any,
) -> Facts:
    """Return the facts of a mail that was read."""
    team_label = {"value": team, "confidence": confidence, "needs_review": False}
    outcome = {
        "kind": "email",
        "labels": {
            "team": team_label | {"evidence": [{"start": 0, "end": 5, "weight": 1.0}]},
            "priority": {"value": "normal", "confidence": 0.8},
        },
        "model": {"name": "email", "version": "3"},
    }
    known = {
        "from": "Ann <ann@example.com>",
        "subject": text.split("\n")[0],
        "to": ["help@x.example"],
    }
    return facts(outcome, known | more.pop("mail", {}) | more, text, received_at=CAME)


def decide(mail: Facts) -> Decision:
    """Return what the example's rules decide."""
    return evaluate(RULES, mail)


def test_a_decision_names_rule_model_confidence_and_evidence() -> None:
    """A mail that went somewhere and nobody knows why is the last one a user trusts us with."""
    mail = a_mail()
    decision = decide(mail)
    assert (decision.rule, decision.queue, decision.due) == (
        "Refunds",
        "refunds",
        "2026-03-04T13:30:00+00:00",
    )
    assert decision.tags == ("refund",)
    assert decision.send == ("helpdesk",)
    assert decision.model == "email 3"
    assert decision.confidence == 0.95
    assert [mail.text[span.start : span.end] for span in decision.evidence] == [
        "Hello",
        "Money\n back",
    ]
    assert decision.reason == "Rule Refunds: team is billing (0.95), the text says “money back”."
    assert decision.version == RULES.version
    assert json.loads(json.dumps(decision.to_json()))["evidence"][0] == {
        "start": 0,
        "end": 5,
        "weight": 1.0,
    }


def test_the_first_rule_that_matches_decides() -> None:
    """An order that people see in the file and that does not hold is worse than none."""
    assert decide(a_mail("Hello\n\nA question")).rule == "Billing"
    assert decide(a_mail(mail={"from": "Bob <bob@EXAMPLE.ORG>"})).rule == "Billing"
    assert decide(a_mail(bulk=True)).rule == "Newsletters"


def test_doubt_goes_to_triage_and_not_to_the_next_rule() -> None:
    """A mail below the threshold that falls through to a wider rule is a silent mistake."""
    for confidence in (0.89, 0.3):
        decision = decide(a_mail(confidence=confidence))
        assert (decision.queue, decision.hold, decision.send) == ("triage", True, ())
        assert (decision.rule, decision.doubt) == ("Refunds", True)
        assert "not sure enough" in decision.reason
    assert decide(a_mail("Hello\n\nA question", confidence=0.59)).queue == "triage"
    assert decide(a_mail("Hello\n\nA question", confidence=0.61)).queue == "billing"


def test_a_label_that_asks_for_review_is_in_doubt_however_sure_it_says_it_is() -> None:
    """The reader's own threshold may be higher than the rules' one."""
    mail = a_mail()
    labels = {"team": {"value": "billing", "confidence": 0.99, "needs_review": True}}
    doubted = facts({"labels": labels}, {}, mail.text, received_at=CAME)
    assert decide(doubted).doubt


def test_what_no_rule_knows_goes_to_triage() -> None:
    """The biggest class is no answer to a mail that nothing was said about."""
    decision = decide(a_mail(team="legal"))
    assert (decision.rule, decision.queue, decision.hold) == (None, "triage", True)
    assert decision.priority == "normal"
    assert decide(Facts(received_at=CAME)).queue == "triage"


def test_a_rule_that_goes_on_adds_and_the_next_decides() -> None:
    """Marks that apply to every queue would else be written into every rule."""
    decision = decide(a_mail(headers={"X-Customer": "Gold-7"}))
    assert (decision.rule, decision.queue) == ("Refunds", "refunds")
    assert (decision.tags, decision.priority) == (("gold", "refund"), "urgent")


def test_held_mail_is_sent_nowhere() -> None:
    """ "Hold for a person" that a webhook has already carried away is no hold."""
    decision = decide(
        a_mail("Invoice 7", team="x", attachments=[{"name": "Bill.PDF", "type": "a/b"}])
    )
    assert (decision.queue, decision.hold, decision.send) == ("accounting", True, ())


@pytest.mark.parametrize(
    ("condition", "facts_wanted", "holds"),
    [
        ('from = "*@example.com"', {"from": '"ceo@bank.example" <a@example.com>'}, True),
        ('from = "ceo@bank.example"', {"from": '"ceo@bank.example" <a@example.com>'}, False),
        ('to = "help@*"', {"to": ["x <Help@Y.example>"]}, True),
        ('text = "cat"', {"text": "concatenate"}, False),
        ('text = "cat"', {"text": "a CAT."}, True),
        ('text = "c++"', {"text": "in C++ code"}, True),
        ('text = "(a+)+$"', {"text": "aaaa"}, False),
        ('subject = "re: order"', {"subject": "RE:  Order 7"}, True),
        ("auto_reply = true", {"auto_reply": True}, True),
        ("auto_reply = false", {"auto_reply": True}, False),
        ("has_attachment = false", {}, True),
        ('attachment_type = "image/*"', {"attachments": [{"type": "image/png"}]}, True),
        ('header.list-id = "*"', {"headers": {"List-Id": "x"}}, True),
        ('header.list-id = "*"', {}, False),
        ('language = ["de", "fr"]', {"language": "fr"}, True),
    ],
)
def test_conditions(condition: str, facts_wanted: dict[str, Any], holds: bool) -> None:
    """Each condition reads as it is written, and a display name proves nothing."""
    rules = parse(f'[[rule]]\nname = "r"\nwhen.{condition}\nthen.queue = "q"\n')
    text = facts_wanted.pop("text", "")
    outcome = {"language": facts_wanted.pop("language", "en")}
    mail = facts(outcome, facts_wanted, text, received_at=CAME)
    assert (evaluate(rules, mail).queue == "q") is holds


def test_a_dry_run_shows_what_would_change_and_changes_nothing() -> None:
    """Rules tried out on living mail are tried out on customers."""
    stricter = parse(EXAMPLE.replace("confidence = 0.6", "confidence = 0.97"))
    mails = [a_mail(), a_mail("Hello\n\nA question"), a_mail(bulk=True), a_mail(team="legal")]
    run = dry_run(RULES, stricter, mails)
    assert run.looked_at == 4
    assert [change.place for change in run.changes] == [0, 1]
    assert run.moves() == {("refunds", "triage"): 1, ("billing", "triage"): 1}
    assert run.changes[0].fields == ("queue", "due", "tags", "hold", "send")
    assert dry_run(RULES, parse(EXAMPLE), mails).changes == ()


def test_the_version_is_the_content() -> None:
    """A decision must lead back to the very rules that made it."""
    assert parse(EXAMPLE).version == RULES.version
    assert parse(EXAMPLE + "\n# a remark\n").version != RULES.version


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[rule]]\nname = "a"\nwhen.text = "x"\nthen.queue =\n', 4, "Invalid"),
        ('[[rule]]\nname = "a"\nwhen.text = "x"\nthen.queu = "q"\n', 4, "no action 'queu'"),
        ('[[rule]]\nname = "a"\n[rule.when]\ntext = "x"\n[rule.then]\nqueue = 3\n', 6, "a name"),
        ('[[rule]]\nname = "a"\nwhen.txt = "x"\nthen.queue = "q"\n', 3, "no condition 'txt'"),
        ('[[rule]]\nwhen.text = "x"\nthen.queue = "q"\n', 1, "needs a name"),
        ('# x\n\n[[rule]]\nname = "a"\nthen.queue = "q"\n', 3, "match everything"),
        ('[[rule]]\nname = "a"\nwhen.text = "x"\n', 1, "asks for nothing"),
        ('[[rule]]\nname = "a"\nwhen.confidence.team = 2\nwhen.label.team = "x"\n', 3, "between"),
        ('[[rule]]\nname = "a"\nwhen.text = "x"\nwhen.confidence.team = 0.5\n', 4, "no label.team"),
        ('[[rule]]\nname = "a"\nwhen.text = "x"\nthen.due = "soon"\n', 4, "4h"),
        ('[[rule]]\nname = "a"\nwhen.text = "x"\nthen.priority = "asap"\n', 4, "urgent"),
        ('[[rule]]\nname = "a"\nwhen.text = ""\nthen.hold = true\n', 3, "wants a text"),
        ('[[rule]]\nname = "a"\nwhen.bulk = "yes"\nthen.hold = true\n', 3, "true or false"),
        ('[triage]\nconfidence = 7\n', 2, "between 0 and 1"),
        ('[tirage]\nconfidence = 0.7\n', 1, "no 'tirage'"),
        ('[rule]\nname = "a"\n', 1, "[[rule]]"),
        ('[[rule]]\nname = "a"\nwhen.text = "x"\nthen.hold = 1\n', 4, "true or false"),
        ('[[rule]]\nname = "a"\nwhen = "x"\nthen.hold = true\n', 3, "holds conditions"),
        ('[[rule]]\nname = "a"\nwhen.label = "x"\nthen.hold = true\n', 3, "label.NAME"),
        ('[[rule]]\nname = "a"\nwhen.text = "x"\nthen.tags = "x"\n', 4, "list of names"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(text: str, line: int, said: str) -> None:
    """A file of two hundred rules that is "invalid" is a file nobody dares to touch."""
    with pytest.raises(WrongRules) as wrong:
        parse(text)
    assert (line, True) in [(m.line, said in m.sentence) for m in wrong.value.mistakes], wrong.value


def test_every_mistake_is_named_at_once() -> None:
    """One mistake a try is an afternoon."""
    good = '[[rule]]\nname = "a"\nwhen.text = "x"\nthen.queue = "q"\n'
    with pytest.raises(WrongRules) as wrong:
        parse(good + good.replace("when", "wenn") + good)
    assert [mistake.line for mistake in wrong.value.mistakes] == [5, 6, 7, 10]


@given(st.text())
def test_any_text_is_rules_or_a_list_of_mistakes(text: str) -> None:
    """The page that edits the file must never answer with a fault of ours."""
    try:
        parse(text)
    except WrongRules as wrong:
        assert all(1 <= mistake.line <= text.count("\n") + 1 for mistake in wrong.mistakes)  # noqa: PT017


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False)
    | st.sampled_from(["a", "", "*"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["label", "text", "queue", "due", "team", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["name", "when", "unless", "then", "go_on", "z"]), _values, max_size=5
    )
)
def test_any_table_is_a_rule_or_a_list_of_mistakes(table: dict[str, Any]) -> None:
    """Values of the wrong kind in any place are a mistake with a sentence."""
    text = "[[rule]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
    try:
        rules = parse(text)
    except WrongRules:
        return
    evaluate(rules, a_mail())


def _toml(value: Any) -> str:
    """Return a value as TOML writes it inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value) if value is not None else '"none"'
