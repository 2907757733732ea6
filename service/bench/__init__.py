"""Measurements: each a ratio to a ceiling that is taken in the same run."""
