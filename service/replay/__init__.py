"""Recordings of real car parks: read them, name their lots, play them through MQTT."""
