"""Whom a broker cut off, from the lines of its log."""

import pytest

from service.occupancy.broker_news import oversize


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (b"1795340921: Client c1-big disconnected due to oversize packet.", "c1-big"),
        (b"Client \xe5\x8c\x97 1 disconnected due to oversize packet.", "北 1"),
        (b"1795340921: Client c1 disconnected.", None),
        (b"Client \xff disconnected due to oversize packet", "�"),
        (b"", None),
    ],
)
def test_a_line_names_who_sent_too_much(line, client):
    assert oversize(line) == client
