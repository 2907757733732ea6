"""Occupancy: sensor message, ingest, store (Redis), mirror."""
