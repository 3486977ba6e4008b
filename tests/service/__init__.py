"""The front: API, pages, sign-in and what keeps them safe, against a real ledger and broker."""
