"""Without keys, only this machine's own programs get in, and no web page of another origin."""

from __future__ import annotations

import pytest

from isthmus.errors import Unauthenticated
from isthmus.labels import INTERNAL
from isthmus.server.auth import OpenDoor, is_loopback


def scope(**headers: str) -> dict[str, object]:
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "127.0.0.1:8787"},
        {"host": "localhost"},
        {"host": "[::1]:8787", "origin": "http://localhost:3000"},
        {"host": "127.0.0.1", "sec_fetch_site": "same-origin"},
    ],
)
def test_programs_and_pages_of_this_machine_get_in(headers):
    assert OpenDoor(INTERNAL)(scope(**headers)).default == INTERNAL


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8787"},
        {"host": "127.0.0.1", "origin": "https://evil.example"},
        {"host": "127.0.0.1", "origin": "null"},
        {"host": "127.0.0.1", "origin": "http://[broken"},
        {"host": "127.0.0.1", "sec_fetch_site": "Cross-Site"},
    ],
)
def test_other_pages_do_not(headers):
    with pytest.raises(Unauthenticated):
        OpenDoor(INTERNAL)(scope(**headers))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "localhost.evil", "127.1.evil"])
def test_what_others_can_reach_is_no_loopback(host):
    assert not is_loopback(host)
