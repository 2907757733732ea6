"""Guidance: mirror, ranking, sign board and navigation."""
