"""Emails: spam or not, whether the sender wants an answer, and whose work it is.

An email's `priority` is no head of the model: it is a readable rule over these and plain signals.
"""

from __future__ import annotations

from nlp.kind import Kind

KIND = Kind(
    heads={"spam": ("spam", "ham"), "wants_answer": ("yes", "no"), "team": ()},
    entities=(),
    model="text_classifier",
    weights="email",
    by_sentence={"wants_answer": "yes"},  # one sentence that asks is enough
)
