"""Watching before acting: the switch, its table in the file, and queues named by labels."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.facts import Facts, Label, facts
from routing.rules import Decision, Shadow, dry_run, evaluate
from routing.rules_file import WrongRules, parse
from routing.rules_text import STARTER, switched, with_shadow
from routing.wording import sentences

CAME = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
RULE = """
# about invoices
[[rule]]
name = "Team"
when.label.team = "*"
then.queue = "{team}"
then.send = ["helpdesk"]
"""


def decide(text: str, team: str = "billing", confidence: float = 0.9) -> Decision:
    """Return the decision on a mail for a team."""
    label = Label(value=team, confidence=confidence)
    return evaluate(parse(text), Facts(received_at=CAME, labels={"team": label}))


def test_a_queue_is_what_the_label_says() -> None:
    """A model learned from folders needs one rule, not one for each folder."""
    assert decide(RULE).queue == "billing"
    assert decide(RULE).send == ("helpdesk",)
    doubtful = decide(RULE, "hr", 0.3)
    assert (doubtful.queue, doubtful.proposed, doubtful.send) == ("triage", "hr", ())


def test_a_queue_may_name_only_what_the_rule_looked_at() -> None:
    """A label that nobody asked to be sure must not send mail anywhere."""
    with pytest.raises(WrongRules, match=r"when\.label\.team"):
        parse(RULE.replace('when.label.team = "*"', 'when.text = "x"'))


@pytest.mark.parametrize(
    ("table", "watched"),
    [
        ("", False),
        ("on = true", True),
        ('on = true\nlive = ["sales", "billing"]', False),
        ('on = true\nlive = ["sales"]', True),
        ('queues = ["billing"]', True),
        ('queues = ["sales"]', False),
    ],
)
def test_what_is_watched_is_decided_and_not_delivered(table: str, watched: bool) -> None:
    """The administrator's promise to the team: it looks, and it does nothing."""
    decision = decide(f"[shadow]\n{table}\n{RULE}")
    assert decision.shadow is watched
    assert decision.send == ("helpdesk",)
    assert decision.delivers == (() if watched else ("helpdesk",))


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        ('on = "yes"', 2, "true or false"),
        ('live = ["a"]', 2, "only with on = true"),
        ('on = true\nqueues = ["a"]', 3, "only with on = false"),
        ("on = true\nlive = 1", 3, "list of queues"),
        ("off = true", 2, "no 'off'"),
    ],
)
def test_mistakes_in_the_switch_are_named(table: str, line: int, said: str) -> None:
    """A switch that is misspelt and passed over delivers."""
    with pytest.raises(WrongRules) as wrong:
        parse(f"[shadow]\n{table}\n")
    assert [(m.line, said in m.sentence) for m in wrong.value.mistakes] == [(line, True)]


names = st.lists(st.text("abcé \"\\'", min_size=1, max_size=5).filter(str.strip), max_size=3)


@given(names, st.booleans(), st.sampled_from(["", STARTER, '[folders]\n"A" = "b"\n']))
def test_the_switch_changes_and_the_rest_of_the_file_stays(
    queues: list[str], on: bool, before: str
) -> None:
    """The file is people's own: comments and order are theirs."""
    text = before + RULE
    distinct = tuple(dict.fromkeys(queues))
    wanted = Shadow(on=on, live=distinct if on else (), queues=() if on else distinct)
    changed = with_shadow(text, wanted)
    assert parse(changed).shadow == wanted
    assert parse(changed).rules == parse(text).rules
    assert changed.endswith(RULE)
    assert with_shadow(changed, wanted) == changed


def test_a_switch_written_in_another_way_is_left_alone() -> None:
    """A file that is mangled by a button is worse than a button that refuses."""
    for text in ("shadow.on = true\n", "shadow = { on = true }\n"):
        with pytest.raises(ValueError):  # noqa: PT011 - WrongRules is one
            with_shadow(text + RULE, Shadow())


def test_one_queue_at_a_time() -> None:
    """Switching one on leaves the others as they are, and back again."""
    start = Shadow(on=True)
    first = switched(start, "billing", live=True)
    assert (first.watches("billing"), first.watches("hr")) == (False, True)
    assert switched(first, "billing", live=False) == start
    everything = Shadow()
    watched = switched(everything, "hr", live=False)
    assert (watched.watches("billing"), watched.watches("hr")) == (False, True)
    assert switched(watched, "hr", live=True) == everything


def test_a_dry_run_tells_what_begins_to_be_delivered() -> None:
    """Switching on is a change like any other, and the largest there is."""
    off, on = parse(f"[shadow]\non = true\n{RULE}"), parse(RULE)
    mail = Facts(received_at=CAME, labels={"team": Label(value="hr", confidence=0.9)})
    run = dry_run(off, on, [mail, mail])
    assert [change.fields for change in run.changes] == [("send",), ("send",)]
    assert run.before == run.after == {"hr": 2}


def test_headers_come_as_pairs_and_each_value_counts() -> None:
    """A header that stands there twice, one of them the one that is asked for."""
    mail = {"headers": [["X-Queue", "one"], ["x-queue", "two"], ["Subject", "hi"]]}
    text = '[[rule]]\nname = "a"\nwhen.header.x-queue = "two"\nthen.queue = "q"\n'
    found = facts({}, mail, "hi", received_at=CAME)
    assert evaluate(parse(text), found).queue == "q"


def test_rules_are_told_in_words() -> None:
    """The page reads them out to people who do not know TOML."""
    (rule,) = parse(
        '[[rule]]\nname = "a"\nwhen.label.team = ["hr", "it"]\nwhen.confidence.team = 0.9\n'
        'when.bulk = false\nunless.from = "*@x.org"\nthen.queue = "q"\nthen.due = "90m"\n'
    ).rules
    said = sentences(rule)
    assert said.when == (
        "team is “hr” or “it”, at least 90 % sure",
        "it did not go to a list",
    )
    assert said.unless == ("it comes from “*@x.org”",)
    assert said.then == ("queue “q”", "due within 90 minutes")
