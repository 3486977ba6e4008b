"""Pure rules: labels and headers in, a decision and its reason out.

Nothing here touches a network, a file, a clock or another room: what a rule needs is handed
to it, so workers run it, pages try it dry, and the same input gives the same decision.

`priority` how soon a mail wants a person; `deadlines` and `urgency` the words it looks for;
`rules` the administrator's own rules over one document's facts, `rules_file` their one readable
file; `threads` which mails belong together; `replies` which mail must never get an automatic
answer.
"""
