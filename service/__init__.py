"""Bowei: from a sensor's message to a sign, to a phone's navigation and to a settled bill."""
