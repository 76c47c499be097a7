"""The tests themselves cannot leave this machine."""

from __future__ import annotations

import socket

import pytest


def test_no_test_connects_to_another_machine() -> None:
    with socket.socket() as outward, pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        outward.connect(("192.0.2.1", 80))


def test_no_test_resolves_a_name_of_another_machine() -> None:
    with pytest.raises(AssertionError, match=r"example\.com"):
        socket.getaddrinfo("example.com", 443)


def test_a_name_that_exists_nowhere_fails_as_it_would() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("upstream.invalid", 443)
