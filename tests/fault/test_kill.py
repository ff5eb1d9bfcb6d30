"""kill -9 at every named moment of a task's life: it ends as it must, is made once, and is paid once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fault.stage import RUN_MICROS, Gateway, Stage, statuses, until
from tests.rigs.counting import ROOT, Counting
from tests.webhook_receiver import WebhookReceiver

BALANCE = 1_000_000_000
ACCOUNTS = ("keys", "askable", "neither")
"""Upstreams: one honours idempotency keys, one can be asked by tag, one can do neither."""
FATE_UNKNOWN = ("failed", "fate_unknown")
LOST = {"hang_up": "after", "times": 1}
NOT_TAKEN = {"hang_up": "before", "times": 1}


@dataclass(frozen=True)
class Story:
    """What happens to one task: where the process dies, with which upstream, and how it must end.

    `point` is a named moment, or `sent:N`: as soon as the upstream has got the N-th attempt, and thinks it over.
    """

    point: str
    upstream: str
    rig: dict[str, Any] = field(default_factory=dict)
    ends: tuple[str, str | None] = ("succeeded", None)
    creates: int = 1
    cancels: bool = False

    def __str__(self) -> str:
        return f"{self.point}-{self.upstream}"


STORIES = [
    Story("intake.before", "neither"),
    Story("intake.committed", "neither"),
    Story("submit.intent", "keys"),
    Story("submit.intent", "askable"),
    Story("submit.intent", "neither", ends=FATE_UNKNOWN, creates=0),
    Story("submit.lost", "keys", LOST),
    Story("submit.lost", "askable", LOST),
    Story("submit.lost", "neither", LOST, FATE_UNKNOWN),
    Story("submit.replied", "keys"),
    Story("submit.replied", "askable"),
    Story("submit.replied", "neither", ends=FATE_UNKNOWN),
    Story("submit.accepted", "neither"),
    Story("progress.committed", "neither", {"duration_s": 1.5}),
    Story("outputs.kept", "neither"),
    Story("end.before", "neither"),
    Story("end.committed", "neither"),
    Story("end.before", "askable", {"outcome": "failed"}, ("failed", "failed")),
    Story("cancel.asked", "neither", {"duration_s": None}, ("canceled", None), cancels=True),
    Story("end.before", "keys", {"duration_s": None}, ("canceled", None), cancels=True),
    Story("resubmit.before", "keys", NOT_TAKEN),
    Story("resubmit.before", "askable", NOT_TAKEN),
    Story("sent:1", "keys", {"before_s": 3.0}),
    Story("sent:1", "askable", {"before_s": 3.0}),
    Story("sent:1", "neither", {"before_s": 3.0}, FATE_UNKNOWN),
    Story("sent:2", "keys", NOT_TAKEN | {"before_s": 1.5}),
    Story("sent:2", "askable", NOT_TAKEN | {"before_s": 3.0}),
    Story("webhook.before", "neither"),
    Story("webhook.sent", "neither"),
    Story("webhook.sent:2", "neither"),
]


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: Counting
) -> Iterator[dict[str, Future[None]]]:
    """All chosen stories, four at a time: they wait more than they work."""
    chosen = [
        item.callspec.params["story"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    ]
    folder = tmp_path_factory.mktemp("kill")
    upstream.control("keys", honours_keys=True)
    channels = [channel(upstream, name) for name in ACCOUNTS]
    stage = Stage.build(folder / "stage", channels, [f"{name}/m" for name in ACCOUNTS])
    with WebhookReceiver() as hooks, ThreadPoolExecutor(4) as pool:
        yield {
            str(story): pool.submit(tell, story, stage, folder / f"{n}", upstream, hooks)
            for n, story in enumerate(chosen)
        }
        pool.shutdown(cancel_futures=True)


def channel(upstream: Counting, name: str) -> dict[str, Any]:
    provider = "askable" if name == "askable" else "replicate"
    options = {"idempotent": True} if name == "keys" else {}
    base_url = upstream.base_url(name)
    return {"name": name, "provider": provider, "base_url": base_url, "models": [f"{name}/*"], "options": options}


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_task_survives_kill_9(story: Story, told: dict[str, Future[None]]) -> None:
    told[str(story)].result()


def test_every_named_moment_is_tried() -> None:
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    named = {name for source in sources for name in re.findall(r'faults\.reach\("([^"]+)"\)', source)}
    named = {name for name in named if not name.startswith("call.")}  # see `test_call_kills`
    assert named == {story.point.partition(":")[0] for story in STORIES} - {"sent"}


def tell(story: Story, stage: Stage, folder: Path, upstream: Counting, hooks: WebhookReceiver) -> None:
    uncertain_s = 3 if story.upstream == "neither" else 60
    gateway = stage.gateway(folder, faults=story.point, uncertain_s=f"{uncertain_s}", find_grace_s=f"{grace_s(story)}")
    try:
        gateway.live.start()
        _tell(story, gateway, upstream, hooks)
    except BaseException as error:
        error.add_note(gateway.live.log_tail())
        raise
    finally:
        if gateway.live.process is not None:
            gateway.live.kill()


def grace_s(story: Story) -> float:
    """How long the operator of this gateway knows that the upstream may take to think."""
    return story.rig.get("before_s", 0.0) + 0.5


def _tell(story: Story, gateway: Gateway, upstream: Counting, hooks: WebhookReceiver) -> None:
    mailbox = f"/{story}-{gateway.live.port}"
    first = create(story, gateway, hooks.url + mailbox)
    if story.cancels and first:
        until(lambda: gateway.show(first)["status"] == "processing" or None, 10, "processing")
        gateway.cancel(first)
    if story.point.startswith("sent:"):
        until(lambda: upstream.report()["attempts"].get(first) == int(story.point[5:]) or None, 15, "the attempt")
        gateway.live.kill()
    else:
        assert gateway.crash() == -9

    del gateway.live.environment["PENSTOCK_FAULTS"]
    gateway.live.start()
    task = create(story, gateway, hooks.url + mailbox)
    assert task and first in (None, task), "a client that retried got another task"
    ended = gateway.ended(task)
    facts = gateway.facts(task)
    assert (ended["status"], facts["error_code"]) == story.ends
    assert upstream.creates().get(task, 0) == story.creates
    assert gateway.count("tasks") == 1

    charge = RUN_MICROS if ended["status"] == "succeeded" else 0
    assert facts["charge"] == charge
    assert gateway.balance() == BALANCE - charge
    was_told(gateway, hooks, mailbox, ended["status"])
    gateway.live.kill()
    assert gateway.errors_in_the_books() == []


def create(story: Story, gateway: Gateway, hook: str) -> str | None:
    """The task's id; None where the server died before it answered."""
    try:
        return gateway.made(f"{story.upstream}/m", story.rig, hook=hook, idempotency_key=str(story))
    except OSError:
        return None


def was_told(gateway: Gateway, hooks: WebhookReceiver, mailbox: str, status: str) -> None:
    """`completed` came at least once, and nothing else after it."""
    secret = gateway.webhook_secret()
    hooks.wait(lambda _: status in statuses(secret, hooks.at(mailbox)), 15)
    until(lambda: gateway.rows("SELECT 1 FROM outbox WHERE state = 'pending'") == [] or None, 10, "an empty outbox")
    assert statuses(secret, hooks.at(mailbox))[-1] == status
