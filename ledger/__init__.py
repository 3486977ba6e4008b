"""The durable record: documents, what is owed, results, corrections, deliveries, models, files.

Rows, transactions, leases and states; it knows neither who asks nor how it is shown. The ledger
is the truth: a document that was accepted ends in one result, or one failure that people see.
"""

from ledger.alerts import Alert
from ledger.batches import Batch
from ledger.chunks import Chunk, Cut
from ledger.deliveries import Delivery
from ledger.document import Document
from ledger.jobs import Job
from ledger.ledger import Ledger, open_ledger
from ledger.models import Model
from ledger.owed import Owed
from ledger.payments import Payment
from ledger.quota import Quota
from ledger.results import Finished, Result
from ledger.shelf import Page
from ledger.tokens import Token
from ledger.viewer import Viewer

__all__ = [
    "Alert",
    "Batch",
    "Chunk",
    "Cut",
    "Delivery",
    "Document",
    "Finished",
    "Job",
    "Ledger",
    "Model",
    "Owed",
    "Page",
    "Payment",
    "Quota",
    "Result",
    "Token",
    "Viewer",
    "open_ledger",
]
