"""The front: requests, pages and the mail gateway, each a thin layer over the ledger.

`service.app.create_app(settings)` builds the web application; `service.gateway` takes mail.
Nothing here loads torch, knows a model or reads a Celery result: what is shown comes from the
ledger through the viewer's filter, and the workers are reached by `workers.client` alone.
"""
