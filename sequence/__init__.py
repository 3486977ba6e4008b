"""Sequence models: tensors with lengths, layers, the training loop, weights files, devices.

The room below `nlp` and `timeseries`. It knows tensors and how long each sequence is; it never
knows where a sequence came from or what its labels mean.

Modules: `padded` (values and lengths together), `recurrent` (Elman, LSTM, GRU), `transformer`,
`encoder` (one option picks one of them), `pooling` (a sequence into one vector), `buckets`
(batches of like length), `training` (the loop), `checkpoint`, `artifact` (weights folders),
`quantisation`, `device`.
"""

from __future__ import annotations

from sequence.padded import Padded

__all__ = ["Padded"]
