"""Pages over HTTP: who may see them, what they say to programs, and the headers that keep them to themselves."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest

from tests.live import Live

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'"
BROWSER = "text/html,application/xhtml+xml"


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers by lower-case name, body."""
    try:
        reply = urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=10)
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        return reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.read().decode()


def page_of_a_task(live: Live, model: str = "sandbox/instant", prefer: str = "wait") -> str:
    body = json.dumps({"input": {"prompt": "a <boat>"}}).encode()
    headers = {"Authorization": f"Bearer {live.test_key}", "Content-Type": "application/json", "Prefer": prefer}
    url = f"{live.url}/replicate/v1/models/{model}/predictions"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as reply:
        return str(json.load(reply)["urls"]["web"])


@pytest.mark.parametrize("path", ["/", "/docs", "/nope"])
def test_pages_load_nothing_from_elsewhere(path: str, live: Live) -> None:
    _, headers, body = get(live.url + path, Accept=BROWSER)
    assert headers["content-security-policy"].startswith(POLICY)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-request-id"]
    assert all(url.startswith("/") for url in re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', body))
    assert not re.search(r"<script>|\son\w+=|\sstyle=|<style", body)


def test_a_task_opens_with_its_whole_link_only(live: Live) -> None:
    page = page_of_a_task(live)
    address, _, capability = page.partition("?c=")
    status, headers, body = get(page, Accept=BROWSER)
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert "sandbox/instant" in body
    other = page_of_a_task(live).partition("?c=")[2]
    for wrong in (
        address,
        f"{address}?c=",
        f"{address}?c={other}",
        f"{address}?c={capability[:-1]}",
        f"{live.url}/p/x?c=é%00",
    ):
        for url in (wrong, wrong.replace("?", "/live?")):
            status, headers, body = get(url.replace("é", "%C3%A9"), Accept=BROWSER)
            assert status == 404, url
            assert headers["content-type"].startswith("text/html")
            assert "sandbox/instant" not in body


def test_without_scripts_the_page_says_all_and_loads_itself_anew_until_the_end(live: Live) -> None:
    refresh = re.compile(r'<noscript><meta http-equiv="refresh" content="\d+"></noscript>')
    running = get(page_of_a_task(live, "sandbox/hanging", "respond-async"), Accept=BROWSER)[2]
    assert refresh.search(running)
    assert "a &lt;boat&gt;" in running
    failed = get(page_of_a_task(live, "sandbox/failing"), Accept=BROWSER)[2]
    assert not refresh.search(failed)
    for words in ("It failed", "as its script says", "Nothing was charged", "Timeline", "a &lt;boat&gt;"):
        assert words in failed


def test_the_stream_of_an_ended_task_ends(live: Live) -> None:
    status, headers, body = get(page_of_a_task(live).replace("?", "/live?"))
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    regions = [json.loads(line[6:])["region"] for line in body.splitlines() if line.startswith('data: {"region"')]
    assert regions == ["head", "outcome", "logs", "timeline", "cost", "input"]
    assert body.endswith("event: end\ndata: {}\n\n")


def test_programs_get_json_for_what_is_not_there(live: Live) -> None:
    status, headers, body = get(f"{live.url}/nope")
    assert (status, headers["content-type"]) == (404, "application/json")
    assert json.loads(body)["error"]["code"] == "not_found"
    status, _, body = get(f"{live.url}/replicate/v1/nope")
    assert (status, "detail" in json.loads(body)) == (404, True)
    status, headers, body = get(f"{live.url}/docs", "POST")
    assert (status, json.loads(body)["error"]["code"]) == (405, "method_not_allowed")
    assert set(headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_static_files_are_kept_by_browsers_and_change_their_address_with_their_bytes(live: Live) -> None:
    _, _, body = get(live.url, Accept=BROWSER)
    sheet = re.search(r'href="(/static/penstock\.css\?v=\w+)"', body)
    assert sheet
    status, headers, _ = get(live.url + sheet[1])
    assert (status, headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert get(live.url + sheet[1], **{"If-None-Match": headers["etag"]})[0] == 304
    assert get(f"{live.url}/static/VENDORED.md")[0] == 404
    assert get(f"{live.url}/static/..%2fpages.py")[0] == 404


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/static/penstock.css"])
def test_head_is_get_without_the_body(path: str, live: Live) -> None:
    _, asked, _ = get(live.url + path)
    status, headers, body = get(live.url + path, "HEAD")
    assert (status, body) == (200, "")
    assert headers["content-length"] == asked["content-length"]


def test_it_is_ready_and_says_no_secrets(live: Live) -> None:
    assert json.loads(get(f"{live.url}/readyz")[2]) == {"ready": True}
    for path in ("/", "/docs", "/openapi.json", "/metrics"):
        assert live.test_key not in get(live.url + path)[2]
        assert str(live.data) not in get(live.url + path)[2]
