"""Knocking at an address: who answers, who doesn't, and what is none."""

import socket

import pytest

from tune_cluster.cluster.knock import knock


@pytest.mark.parametrize(
    ("family", "host", "spelled"),
    [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")],
)
def test_who_listens_is_heard_with_and_without_brackets(family, host, spelled):
    with socket.socket(family) as listening:
        try:
            listening.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        listening.listen()
        knock(f"{spelled}:{listening.getsockname()[1]}")


def test_where_nobody_listens_there_is_an_error_at_once():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            knock(f"127.0.0.1:{unheard.getsockname()[1]}")


@pytest.mark.parametrize("address", ["ray://host:10001", "host:port", "host:70000", ":6379", "x"])
def test_an_address_that_is_none_says_what_is_one(address):
    with pytest.raises(ValueError, match="host:port, auto or local"):
        knock(address)
