from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Sequence
from ipaddress import ip_network

import pytest
import trustme

from penstock.errors import FateUnknown, TooLarge, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from penstock.wire.outbound import Guard, UrlRefused
from tests.unit.wire.origin import Answer, Got, answering, drip, free_port, hang_up, origin, reply, silent

pytestmark = pytest.mark.anyio

LOOPBACK = (ip_network("127.0.0.0/8"),)

_HOSTILE = """
    http://127.0.0.1/          http://127.1/               http://127.0.1/             http://2130706433/
    http://0x7f000001/         http://0x7f.0.0.1/          http://0177.0.0.1/          http://017700000001/
    http://0/                  http://0.0.0.0/             http://127.0.0.1./          http://%31%32%37.0.0.1/
    http://１２７.０.０.１/         http://127。0。0。1/           http://①②⑦.0.0.1/           http:/\\127.0.0.1/
    http:127.0.0.1             http://@127.0.0.1/          http://127.0.0.1:443/       http://[::7f00:1]/x
    http://localhost/          http://LOCALHOST./          http://a.b.localhost/       http://ⓛⓞⓒⓐⓛhost/
    http://10.1.2.3/           http://172.16.0.1/          http://192.168.1.1/         http://100.64.0.1/
    http://169.254.169.254/    http://169.254.170.2/       http://100.100.100.200/     http://192.0.0.192/
    http://0xa9fea9fe/         http://224.0.0.1/           http://255.255.255.255/     http://240.0.0.1/
    http://198.18.0.1/         http://192.0.2.1/           http://203.0.113.9/         http://192.88.99.1/
    http://[::1]/              http://[::]/                http://[::ffff:127.0.0.1]/  http://[::ffff:7f00:1]/
    http://[::127.0.0.1]/      http://[::ffff:0:7f00:1]/   http://[64:ff9b::7f00:1]/   http://[64:ff9b:1::7f00:1]/
    http://[2002:7f00:1::]/    http://[2001:0:7f00:1::]/   http://[fe80::1]/           http://[fe80::1%25eth0]/
    http://[fe80::1%eth0]/     http://[fc00::1]/           http://[fd00:ec2::254]/     http://[fec0::1]/
    http://[ff02::1]/          http://[2001:db8::1]/       http://[100::1]/            http://[0:0:0:0:0:0:0:1]/
    file:///etc/passwd         ftp://8.8.8.8/              gopher://8.8.8.8/           javascript:alert(1)
    data:text/plain,x          //8.8.8.8/                  /etc/passwd                 http://
    http://user@8.8.8.8/       http://user:pw@8.8.8.8/     http://:pw@8.8.8.8/         http://8.8.8.8&@1.1.1.1#@x/
    http://8.8.8.8:22/         http://8.8.8.8:25/          http://8.8.8.8:6379/        http://example.com:11211/
    http://8.8.8.8:0/          http://8.8.8.8:99999/       http://256.1.1.1/           http://1.2.3.4.5/
    http://127.0.0.1%00.x/     unix:/run/x.sock            http+unix://x/              ws://8.8.8.8/
"""

_FINE = """
    http://8.8.8.8/   https://1.1.1.1:8443/x   https://[2606:4700::1111]/   http://[::ffff:8.8.8.8]/   http://[64:ff9b::808:808]/
    https://example.com/a?b#c   http://bücher.example:8080/   https://example.com.:443/   https://sub_domain.example.com/
    http://8.8.8.8\\@127.0.0.1/..
"""
HOSTILE, FINE = _HOSTILE.split(), _FINE.split()


class Names:
    """A resolver that gives, for each name, one line of addresses after the other."""

    def __init__(self, **answers: str | list[str]) -> None:
        self.left = {
            host.replace("_", "."): [found] if isinstance(found, str) else found for host, found in answers.items()
        }
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.left:
            raise OSError("no such name")
        answers = self.left[host]
        return (answers.pop(0) if len(answers) > 1 else answers[0]).split()


async def fetched(
    guard: Guard, url: str, max_bytes: int = 1000, timeout_s: float = 5, max_redirects: int = 3
) -> tuple[int, bytes]:
    async with guard.fetch(url, max_bytes, timeout_s, max_redirects) as reply:
        return reply.status, b"".join([chunk async for chunk in reply])


@pytest.mark.parametrize(
    "url", [*HOSTILE, "http://x/" + "a" * 10_000, "http://exa mple.com/", "http://\t127.0.0.1/", ""]
)
async def test_hostile_spellings_are_refused_without_dns(url: str) -> None:
    resolve = Names()
    async with Guard(resolve=resolve) as guard:
        with pytest.raises(UrlRefused):
            guard.check_literal(url)
        with pytest.raises(UrlRefused):
            await guard.check(url)
        with pytest.raises(UrlRefused):
            await fetched(guard, url)
        with pytest.raises(UrlRefused):
            await guard.post(url, b"", {}, 1)
    assert resolve.asked == []


@pytest.mark.parametrize("url", FINE)
def test_public_addresses_and_names_are_fine(url: str) -> None:
    Guard().check_literal(url)


@pytest.mark.parametrize(
    "found", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%1", "::ffff:10.0.0.1", "8.8.8.8 192.168.0.1"]
)
async def test_one_private_address_refuses_a_name_and_is_not_told(found: str) -> None:
    async with Guard(resolve=Names(x_test=found)) as guard:
        with pytest.raises(UrlRefused) as caught:
            await guard.check("http://x.test/")
    assert not any(address in str(caught.value) for address in found.split())


async def test_a_name_without_address_may_have_one_later() -> None:
    async with Guard(resolve=Names()) as guard:
        with pytest.raises(UpstreamUnreachable):
            await guard.check("http://x.test/")
    async with Guard(resolve=Names(x_test="8.8.8.8 2606:4700::1111")) as guard:
        await guard.check("https://x.test/")


async def test_opened_networks_hold_for_literals_and_names_and_for_any_port() -> None:
    guard = Guard((ip_network("10.0.0.0/8"),), Names(in_test="10.1.1.1", out_test="192.168.1.1", far_test="8.8.8.8"))
    for url in (
        "http://10.1.2.3/",
        "http://10.1.2.3:6379/",
        "http://0xa010203/",
        "http://[::ffff:10.1.2.3]/",
        "http://in.test:6379/",
    ):
        await guard.check(url)
    for url in ("http://127.0.0.1/", "http://out.test/", "http://far.test:6379/", "http://localhost/"):
        with pytest.raises(UrlRefused):
            await guard.check(url)
    async with Guard(LOOPBACK) as open_here:
        await open_here.check("http://localhost:9/")


async def test_a_fetch_connects_to_the_address_that_was_checked() -> None:
    """Rebinding: DNS changes its mind after the check; with the second answer the fetch would be refused."""
    async with origin(answering(b"checked")) as good:
        resolve = Names(x_test=["127.0.0.1", "127.0.0.2", "10.0.0.1"])
        async with Guard(LOOPBACK, resolve) as guard:
            assert await fetched(guard, f"http://x.test:{good.port}/") == (200, b"checked")
            assert resolve.asked == ["x.test"]
            with pytest.raises(UpstreamUnreachable):  # nobody listens on 127.0.0.2, and the first address is not reused
                await fetched(guard, f"http://x.test:{good.port}/")
            with pytest.raises(UrlRefused):
                await fetched(guard, f"http://x.test:{good.port}/")
    assert good.got[0].headers["host"] == f"x.test:{good.port}"


async def test_rebinding_to_a_closed_address_reaches_nothing() -> None:
    """The first answer is open and is what we connect to (where nobody listens): never what the second one says."""
    async with origin(answering(b"secret")) as inside:
        resolve = Names(x_test=["127.0.0.2", "127.0.0.1"])
        async with Guard((ip_network("127.0.0.2/32"),), resolve) as guard:
            with pytest.raises(UpstreamUnreachable):
                await fetched(guard, f"http://x.test:{inside.port}/")
            assert resolve.asked == ["x.test"]
            with pytest.raises(UrlRefused):
                await fetched(guard, f"http://x.test:{inside.port}/")
    assert inside.got == []


async def test_the_pin_holds_with_a_trailing_dot_and_in_capitals() -> None:
    async with origin(answering()) as good, Guard(LOOPBACK, Names(x_test="127.0.0.1")) as guard:
        for host in (
            "x.test.",
            "X.TEST",
            "ｘ.test",
            "localhost.",
            "LOCALHOST",
            "a.localhost.",
            "127.0.0.1.",
            "[::ffff:127.0.0.1]",
        ):
            assert (await fetched(guard, f"http://{host}:{good.port}/"))[0] == 200


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async with origin(answering()) as good, Guard(LOOPBACK, Names(x_test="127.0.0.9 127.0.0.1")) as guard:
        assert (await fetched(guard, f"http://x.test:{good.port}/"))[0] == 200


async def test_redirects_are_followed_with_the_same_checks() -> None:
    async def hop(got: Got, writer: asyncio.StreamWriter) -> None:
        to = {
            "/a": "/b",
            "/b": "//x.test:{port}/end",
            "/loop": "/loop",
            "/in": "http://10.0.0.1/",
            "/bad": "http://[",
            "/f": "file:///etc/x",
        }
        location = to.get(got.path)
        port = got.headers["host"].partition(":")[2]
        writer.write(reply(b"", 302, location=location.replace("{port}", port)) if location else reply(b"end"))

    async with origin(hop) as good, Guard(LOOPBACK, Names(x_test="127.0.0.1")) as guard:
        assert await fetched(guard, f"{good.url}/a") == (200, b"end")
        assert [got.path for got in good.got] == ["/a", "/b", "/end"]
        for path in ("/in", "/loop", "/bad", "/f"):
            with pytest.raises(UrlRefused):
                await fetched(guard, good.url + path)
        with pytest.raises(UrlRefused):
            await fetched(guard, f"{good.url}/a", max_redirects=1)


@pytest.mark.parametrize("packed", [False, True])
async def test_the_cap_counts_inflated_bytes(packed: bool) -> None:
    body = b"\0" * 30_000_000
    answer = answering(gzip.compress(body), content_encoding="gzip") if packed else answering(body)
    async with origin(answer) as good, Guard(LOOPBACK) as guard:
        seen = 0
        with pytest.raises(TooLarge):
            async with guard.fetch(good.url, 1_000_000, 10) as fetch:
                async for chunk in fetch:
                    seen += len(chunk)
        assert seen <= 1_000_000


async def test_a_slow_drip_meets_the_total_time() -> None:
    started = asyncio.get_running_loop().time()
    async with origin(drip) as good, Guard(LOOPBACK) as guard:
        with pytest.raises(UpstreamTimeout):
            await fetched(guard, good.url, timeout_s=0.5)
    assert asyncio.get_running_loop().time() - started < 3


async def test_slow_dns_and_slow_redirects_meet_the_total_time_too() -> None:
    async def slow_dns(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(30)
        return []

    async def slow_hop(got: Got, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(reply(b"", 302, location="/again"))

    async with Guard(LOOPBACK, slow_dns) as guard, origin(slow_hop) as good:
        for url in ("http://x.test/", good.url):
            with pytest.raises(UpstreamTimeout):
                await fetched(guard, url, timeout_s=0.5)


async def test_tls_is_verified_against_the_name_not_the_address() -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("x.test").configure_cert(tls)
    resolve = Names(x_test="127.0.0.1", y_test="127.0.0.1")
    async with origin(answering(), tls) as good, Guard(LOOPBACK, resolve, authority.cert_pem.bytes()) as guard:
        assert (await fetched(guard, f"https://x.test:{good.port}/"))[0] == 200
        with pytest.raises(UpstreamUnreachable):
            await fetched(guard, f"https://y.test:{good.port}/")


async def test_a_webhook_is_posted_once_and_its_redirect_is_an_answer() -> None:
    async with origin(answering(b"", 307, location="/other")) as good, Guard(LOOPBACK) as guard:
        assert await guard.post(f"{good.url}/hook", b"{}", {"webhook-id": "m1"}, 5) == 307
    assert [(got.path, got.body, got.headers["webhook-id"]) for got in good.got] == [("/hook", b"{}", "m1")]


@pytest.mark.parametrize(("answer", "error"), [(silent, FateUnknown), (hang_up, FateUnknown)])
async def test_a_webhook_whose_answer_is_lost_may_have_arrived(answer: Answer, error: type[UpstreamError]) -> None:
    async with origin(answer) as good, Guard(LOOPBACK) as guard:
        with pytest.raises(error):
            await guard.post(good.url, b"{}", {}, 0.4)
        with pytest.raises(UpstreamUnreachable):
            await guard.post(f"http://127.0.0.1:{free_port()}/", b"{}", {}, 0.4)


async def test_a_receivers_long_answer_does_not_matter() -> None:
    async with origin(answering(b"x" * 10_000_000)) as good, Guard(LOOPBACK) as guard:
        assert await guard.post(good.url, b"{}", {}, 5) == 200


async def test_many_webhooks_to_one_receiver_share_a_few_connections() -> None:
    async with origin(answering()) as good, Guard(LOOPBACK, Names(x_test="127.0.0.1")) as guard:
        for _ in range(20):
            assert await guard.post(f"http://x.test:{good.port}/", b"{}", {}, 5) == 200
        assert good.connections == 1


async def test_clients_that_are_not_in_use_are_closed_beyond_the_number_kept() -> None:
    resolve = Names(**{f"h{n}_test": "127.0.0.1" for n in range(6)})
    async with origin(answering()) as good, Guard(LOOPBACK, resolve, keep=2) as guard:
        await asyncio.gather(*(guard.post(f"http://h{n}.test:{good.port}/", b"{}", {}, 5) for n in range(6)))
        assert len(guard._clients) == 2
