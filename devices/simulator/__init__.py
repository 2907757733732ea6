"""A district that lives: cars with destinations, sensors, plate cameras, barriers and signs.

The world is pure and seeded (`world`), told its plan (`plan`) in plain arguments, and moves on one
event heap; `street` is the thin shell that carries what happens in it over MQTT and HTTP.
"""
