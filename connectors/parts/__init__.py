"""What connectors share: parcels and receipts, errors, settings, and a careful HTTP client."""
