"""A task's page in a real browser: what a person sees while it runs, when it has ended, and without scripts."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Seen, visit
from tests.live import Live

pytestmark = pytest.mark.chromium
IMAGE, TEXT, VIDEO = "black-forest-labs/flux-schnell", "meta/meta-llama-3-8b-instruct", "minimax/video-01"
ENDS = {"succeeded", "failed", "canceled"}
ENDED_WITHIN_S = 20.0


def ask(live: Live, method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {live.test_key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=20) as reply:
        return json.load(reply)


def create(live: Live, model: str, **input: Any) -> Any:
    return ask(live, "POST", f"{live.url}/replicate/v1/models/{model}/predictions", {"input": input})


def ended(live: Live, model: str, **input: Any) -> Any:
    """A prediction that has come to its end."""
    made = create(live, model, **input)
    deadline = time.monotonic() + ENDED_WITHIN_S
    while made["status"] not in ENDS:
        assert time.monotonic() < deadline, made["status"]
        time.sleep(0.1)
        made = ask(live, "GET", made["urls"]["get"])
    return made


def test_pictures_logs_timeline_and_cost(live: Live, tmp_path: Path) -> None:
    prompt = "[[slow:0]] a boat <script>document.title='broken in'</script> & <b>more</b>"
    made = ended(live, IMAGE, prompt=prompt, num_outputs=2, aspect_ratio="16:9")
    seen = visit(made["urls"]["web"], tmp_path)
    assert seen.console == []
    assert f"<title>Succeeded · {IMAGE}</title>" in seen.html
    pictures = re.findall(r'<img src="(/files/[^"]+)"[^>]* width="16" height="9"', seen.html)
    assert [live.url + picture for picture in pictures] == made["output"]
    assert "100%" in seen.text("logs")
    for name in ("Created", "Submitted", "Started", "Completed"):
        assert name in seen.text("timeline")
    assert "Charged $0.006" in seen.text("cost")
    assert "2 outputs × $0.003" in seen.text("cost")
    assert "Test money" in seen.text("cost")
    assert "<b>more" not in seen.html
    assert "&lt;b&gt;more" in seen.html
    assert made["id"] in seen.text("head")


def test_a_running_task_is_followed_live(live: Live, tmp_path: Path) -> None:
    made = create(live, TEXT, prompt="[[slow:4]] tell me of the sea")
    while ask(live, "GET", made["urls"]["get"])["output"] is None:
        time.sleep(0.05)
    seen = visit(made["urls"]["web"], tmp_path, waits_s=8)
    assert seen.console == []
    final = ask(live, "GET", made["urls"]["get"])
    assert final["status"] == "succeeded"
    assert "data-live" in seen.html  # it was running when the page was drawn, and the rest came by itself
    assert "Succeeded" in seen.text("head")
    assert "<title>Succeeded" in seen.html
    assert " ".join("".join(final["output"]).split()) in seen.text("outcome").replace("&quot;", '"')
    assert "Done." in seen.text("logs")


def test_a_video_is_played_in_place(live: Live, tmp_path: Path) -> None:
    made = ended(live, VIDEO, prompt="[[slow:0]] a river")
    seen = visit(made["urls"]["web"], tmp_path)
    assert seen.console == []
    assert re.search(r'<video src="/files/[^"]+" controls', seen.html)


@pytest.mark.parametrize("path", ["/", "/docs", "/p/nothing?c=v1..x"])
def test_other_pages_keep_their_own_policy(path: str, live: Live, tmp_path: Path) -> None:
    seen: Seen = visit(live.url + path, tmp_path)
    missing = "status of 404"  # Chromium's own word about the last of them
    assert [line for line in seen.console if missing not in line] == []
    assert '<main id="main">' in seen.html
