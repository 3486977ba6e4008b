"""Words, labels, spans and document kinds.

A document kind is one file in `nlp/kinds/`; a model is one file in `nlp/models/`; a reader is a
plain class built from a weights folder: called with a batch of texts, it returns outcomes.
Importing this package, `nlp.kind`, `nlp.kinds` or `nlp.outcome` loads no torch.
"""
