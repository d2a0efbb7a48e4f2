"""The proxy does what the other tests need of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidelamb.errors import RedisUncertain, RedisUnreachable
from sidelamb.link import Link

if TYPE_CHECKING:
    from tests.handlers.proxy import Proxy


def test_what_is_sent_arrives_until_the_way_is_cut_and_again_when_it_is_mended(proxy: Proxy):
    link = Link(proxy.url)
    assert link.command("PING") in {b"PONG", "PONG"}
    proxy.cut()
    with pytest.raises((RedisUncertain, RedisUnreachable)):
        link.command("PING")
    with pytest.raises(RedisUnreachable):
        link.command("PING")
    proxy.mend()
    assert link.command("PING") in {b"PONG", "PONG"}
    link.close()


def test_a_frozen_connection_is_silent_and_a_new_one_works(proxy: Proxy):
    link = Link(proxy.url, socket_timeout=0.1)
    link.command("PING")
    proxy.freeze()
    with pytest.raises(RedisUncertain):
        link.command("PING")
    assert link.command("PING") in {b"PONG", "PONG"}
    link.close()


def test_a_silent_way_takes_connections_and_answers_nothing(proxy: Proxy):
    link = Link(proxy.url, socket_timeout=0.1)
    proxy.hush()
    with pytest.raises(RedisUncertain):
        link.command("PING")
    link.close()
