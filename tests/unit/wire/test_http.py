from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from penstock.errors import Crowded, FateUnknown, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from penstock.wire.http import Http, Request
from tests.unit.wire.origin import (
    Answer,
    Got,
    answering,
    babble,
    cut_short,
    drip,
    free_port,
    full_backlog,
    hang_up,
    origin,
    reply,
    reset,
    reset_within,
    silent,
    stall_within,
)

pytestmark = pytest.mark.anyio


async def test_a_request_arrives_as_it_was_given_and_the_reply_comes_back() -> None:
    async with Http() as http, origin(answering(b'{"id":1}', 201, X_Request_Id="r1")) as upstream:
        request = Request("POST", f"{upstream.url}/v1/x?a=1", {"authorization": "Bearer k"}, b"hello")
        response = await http.send(request)
    assert (response.status, response.body, response.headers["X-REQUEST-ID"]) == (201, b'{"id":1}', "r1")
    assert "x-request-id" in set(response.headers)
    got = upstream.got[0]
    assert (got.method, got.path, got.body, got.headers["authorization"]) == ("POST", "/v1/x?a=1", b"hello", "Bearer k")
    assert "cookie" not in got.headers and "referer" not in got.headers


async def test_a_body_may_come_in_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with Http() as http, origin(answering()) as upstream:
        await http.send(Request("PUT", upstream.url, {}, pieces()))
    assert upstream.got[0].body == b"onetwo"


async def test_redirects_are_replies_and_cookies_are_forgotten() -> None:
    async with Http() as http, origin(answering(b"", 302, location="/next", set_cookie="a=1")) as upstream:
        response = await http.send(Request("GET", upstream.url))
        await http.send(Request("GET", upstream.url))
    assert (response.status, response.headers["location"], len(upstream.got)) == (302, "/next", 2)
    assert "cookie" not in upstream.got[1].headers


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    async with Http() as http, origin(answering()) as upstream:
        assert (await http.send(Request("GET", upstream.url))).body == b"ok"


async def test_a_large_body_is_read_whole_and_beyond_the_limit_is_refused() -> None:
    body = bytes(range(256)) * 20_000
    async with Http() as http, origin(answering(body)) as upstream:
        assert (await http.send(Request("GET", upstream.url), limit=len(body))).body == body
        with pytest.raises(UpstreamError, match="too large"):
            await http.send(Request("GET", upstream.url), limit=len(body) - 1)
        with pytest.raises(FateUnknown):
            await http.send(Request("POST", upstream.url), limit=100)


async def test_a_reply_may_have_no_body() -> None:
    async with Http() as http, origin(answering(b"")) as upstream:
        for method in ("HEAD", "DELETE"):
            assert (await http.send(Request(method, upstream.url))).body == b""


async def test_the_limit_counts_inflated_bytes() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    async with Http() as http, origin(answering(bomb, content_encoding="gzip")) as upstream:
        with pytest.raises(UpstreamError, match="too large"):
            await http.send(Request("GET", upstream.url), limit=1_000_000)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_never_connected_was_surely_not_sent(method: str) -> None:
    async with Http(connect_timeout_s=0.3) as http, full_backlog() as full:
        for url in (f"http://127.0.0.1:{free_port()}", "http://nowhere.invalid", full, "http:///", "nonsense"):
            with pytest.raises(UpstreamUnreachable):
                await http.send(Request(method, url))
        with pytest.raises(UpstreamUnreachable):
            await http.send(Request(method, full, {"x": "a\nb"}))


@pytest.mark.parametrize("answer", [reset, hang_up, babble, silent, reset_within, stall_within, cut_short])
async def test_after_a_lost_reply_the_fate_of_a_post_is_unknown_and_nothing_is_sent_twice(answer: Answer) -> None:
    async with Http() as http, origin(answer) as upstream:
        for method in ("POST", "PATCH"):
            with pytest.raises(FateUnknown):
                await http.send(Request(method, upstream.url, {}, b"x", timeout_s=0.5))
        assert [got.method for got in upstream.got] == ["POST", "PATCH"]


@pytest.mark.parametrize("answer", [reset, hang_up, babble, silent, reset_within, stall_within, cut_short])
async def test_after_a_lost_reply_to_a_get_it_is_known_that_it_may_be_repeated(answer: Answer) -> None:
    expected = UpstreamTimeout if answer in (silent, stall_within) else UpstreamError
    async with Http() as http, origin(answer) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await http.send(Request("GET", upstream.url, timeout_s=0.5))
        assert type(caught.value) is expected
        assert len(upstream.got) == 1


async def test_a_post_is_not_repeated_when_its_pooled_connection_closes_under_it() -> None:
    async def once(got: Got, writer: asyncio.StreamWriter) -> None:
        if got.path == "/first":
            writer.write(reply())
        else:
            writer.close()

    async with Http() as http, origin(once) as upstream:
        await http.send(Request("GET", f"{upstream.url}/first"))
        with pytest.raises(FateUnknown):
            await http.send(Request("POST", f"{upstream.url}/second", {}, b"x"))
        assert [got.path for got in upstream.got] == ["/first", "/second"]
        assert upstream.connections == 1


async def test_a_pooled_connection_that_closed_while_idle_is_replaced() -> None:
    async def close_later(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(reply())
        await writer.drain()
        writer.close()

    async with Http() as http, origin(close_later) as upstream:
        for _ in range(3):
            assert (await http.send(Request("POST", upstream.url, {}, b"x"))).status == 200
            await asyncio.sleep(0.05)
        assert len(upstream.got) == 3


async def test_errors_say_neither_url_nor_credential() -> None:
    async with Http() as http:
        with pytest.raises(UpstreamUnreachable) as caught:
            await http.send(Request("GET", f"http://127.0.0.1:{free_port()}/?key=canary"))
    told = str(caught.value) + "".join(caught.value.__notes__)
    assert "canary" not in told and "127.0.0.1" not in told
    assert "refused" in told


async def test_an_own_authority_is_trusted_and_a_foreign_one_is_not() -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    async with origin(answering(), tls) as upstream:
        url = f"https://localhost:{upstream.port}"
        async with Http(roots_pem=authority.cert_pem.bytes()) as trusting:
            assert (await trusting.send(Request("GET", url))).body == b"ok"
        async with Http() as strict:
            with pytest.raises(UpstreamUnreachable):
                await strict.send(Request("POST", url))


async def test_a_stream_hands_over_each_piece_when_it_comes() -> None:
    more = asyncio.Event()

    async def two_pieces(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none \r\n")
        await more.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with (
        Http() as http,
        origin(two_pieces) as upstream,
        http.stream(Request("POST", upstream.url), cap_bytes=100) as streamed,
    ):
        assert (streamed.status, await anext(streamed)) == (200, b"one ")
        more.set()
        assert [chunk async for chunk in streamed] == [b"two"]


async def test_a_stream_past_its_cap_or_broken_off_is_an_upstream_error_for_a_post_too() -> None:
    cases: list[tuple[Answer, type[UpstreamError]]] = [
        (answering(b"x" * 101), UpstreamError),
        (reset_within, UpstreamError),
        (cut_short, UpstreamError),
        (stall_within, UpstreamTimeout),
    ]
    for answer, expected in cases:
        async with Http() as http, origin(answer) as upstream:
            with pytest.raises(UpstreamError) as caught:
                async with http.stream(Request("POST", upstream.url, timeout_s=0.5), cap_bytes=100) as streamed:
                    async for _ in streamed:
                        pass
            assert type(caught.value) is expected


async def test_leaving_a_stream_closes_it_and_frees_its_place() -> None:
    async with Http(max_in_flight=1, connect_timeout_s=0.5) as http, origin(drip) as upstream:
        for _ in range(3):
            async with http.stream(Request("GET", upstream.url), cap_bytes=1000) as streamed:
                await anext(streamed)
        await asyncio.wait_for(upstream.left.wait(), 2)


async def test_beyond_the_requests_in_flight_others_wait_and_then_give_up() -> None:
    bounds = {"max_in_flight": 1, "max_streams": 1}
    async with (
        Http(**bounds, connect_timeout_s=0.2) as http,
        origin(answering()) as upstream,
        origin(silent) as hanging,
    ):
        waiting = asyncio.create_task(http.send(Request("GET", hanging.url, timeout_s=1)))
        async with http.stream(Request("GET", upstream.url), cap_bytes=100):
            with pytest.raises(Crowded):
                await http.send(Request("POST", upstream.url))
            with pytest.raises(Crowded):
                await http.stream(Request("GET", upstream.url), cap_bytes=100).__aenter__()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (await http.send(Request("POST", upstream.url))).status == 200


async def test_a_cancelled_request_gives_its_place_back() -> None:
    async with (
        Http(max_in_flight=1, connect_timeout_s=0.2) as http,
        origin(silent) as hanging,
        origin(answering()) as quick,
    ):
        task = asyncio.create_task(http.send(Request("GET", hanging.url, timeout_s=1)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await http.send(Request("GET", quick.url))).status == 200
