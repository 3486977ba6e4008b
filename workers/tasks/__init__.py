"""The Celery tasks: a family is one module here, found by this folder's listing.

A module has `register(app, context)`, which makes its tasks with their names written out.
"""
