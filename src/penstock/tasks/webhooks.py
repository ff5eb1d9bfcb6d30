"""Callers' webhooks: `start` and `completed` from an outbox, kept until delivered; `output` and `logs` at most once.

Ordered per task, one at a time, `completed` always last; a dead receiver rests, and delays nobody else's.
"""

from __future__ import annotations

import time
from collections import deque
from urllib.parse import urlsplit

import msgspec

from penstock.access import Keys
from penstock.canonical.task import Task, TaskId
from penstock.clock import after, now
from penstock.context import Context
from penstock.dialects._base import Links
from penstock.dialects._installed import dialects
from penstock.errors import CallerError, PenstockError
from penstock.ids import new_id
from penstock.log import logger
from penstock.store import Step, files, tasks
from penstock.tasks.alarm import HeapAlarm, Retry
from penstock.wire.signing import webhook_headers

DURABLE = ("start", "completed")
THROTTLE_S = 0.5
SENT_MOST = 10_000
OVERTAKEN_AFTER = 5  # half a minute of tries
PER_HOST = 8
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 3600.0
LONGEST_REST_S = 60.0
RESTING_MOST = 1000
"""With so many receivers that fail, those whose rest is over are forgotten."""


Receiver = tuple[str, str]
"""An account, and a host that it is called on: what one account's URLs meet there is nothing to another's."""


class Message(msgspec.Struct):
    """One webhook to deliver; its body is the task as it is at that moment."""

    id: str
    task: TaskId
    event: str
    url: str
    attempts: int = 0
    created_at: int = 0
    account: str = ""
    """Empty for what an earlier process left, until it is first looked at."""

    @property
    def durable(self) -> bool:
        return self.event in DURABLE


class Outbox:
    """What is to be delivered, per task in order. The durable messages are rows; the rest is lost with the process."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lines: dict[TaskId, deque[Message]] = {}
        self._sent_at: dict[TaskId, float] = {}
        self._busy: dict[Receiver, int] = {}
        self._resting: dict[Receiver, tuple[int, float]] = {}  # failures in a row, until
        self.alarm = HeapAlarm(at_once=64)

    async def load(self) -> None:
        """Take up what an earlier process left undelivered."""
        for id, task, event, url, _, attempts, created_at, due_at, _ in await files.pending(self._ctx.store):
            line = self._lines.setdefault(task, deque())
            if all(message.id != id for message in line):
                line.append(Message(id, task, event, url, attempts, created_at))
                self.alarm.arm(task, min(due_at, after(LONGEST_PAUSE_S)))

    def add(self, message: Message) -> None:
        line = self._lines.setdefault(message.task, deque())
        if not message.durable and any(not waiting.durable for waiting in line):
            return  # the one that waits will carry this news too
        line.append(message)
        rest = self._sent_at.get(message.task, 0.0) + THROTTLE_S - time.monotonic()
        self.alarm.arm(message.task, now() if message.durable else after(max(0.0, rest)))

    async def deliver_next(self, task: TaskId) -> None:
        """Deliver the first message of this task's line. Raises Retry for the next one, or for this one again."""
        line = self._lines.get(task)
        if not line:
            return
        message = line[0]
        if not message.account and (found := await tasks.get(self._ctx.store, task)):
            message.account = found.account
        receiver = (message.account, urlsplit(message.url).netloc)
        self._wait_for(receiver)
        self._busy[receiver] = self._busy.get(receiver, 0) + 1
        try:
            status = await self._send(message)
        finally:
            self._leave(receiver)
        delivered = status is not None and 200 <= status < 300
        self._judge(receiver, status)
        self._ctx.metrics.webhooks.labels("delivered" if delivered else "failed").inc()
        self._sent_at[task] = time.monotonic()
        await self._after(message, line, delivered, status)
        if line:
            raise Retry(0.0 if line[0].durable else THROTTLE_S)
        self._lines.pop(task, None)
        if message.event == "completed" or len(self._sent_at) > SENT_MOST:
            self._sent_at.pop(task, None)

    async def _after(self, message: Message, line: deque[Message], delivered: bool, status: int | None) -> None:
        message.attempts += 1
        too_old = now() - message.created_at > self._ctx.settings.webhook_patience_s * 1e9
        given_up = too_old or self._is_overtaken(message, line)
        if delivered or given_up or not message.durable:
            line.popleft()
        if not message.durable:
            return
        state = "delivered" if delivered else "dead" if given_up else "pending"
        pause_s = min(FIRST_PAUSE_S * 2 ** min(message.attempts - 1, 20), LONGEST_PAUSE_S)
        await self._ctx.store.write(files.tried(message.id, state, message.attempts, after(pause_s), status))
        if state == "pending":
            raise Retry(pause_s)

    @staticmethod
    def _is_overtaken(message: Message, line: deque[Message]) -> bool:
        """Whether the task's end waits behind this message, which was refused often enough not to hold it up longer."""
        waits = message.event != "completed" and any(waiting.event == "completed" for waiting in line)
        return waits and message.attempts >= OVERTAKEN_AFTER

    async def _send(self, message: Message) -> int | None:
        """The status, or None where there was no answer."""
        ctx = self._ctx
        task = await tasks.get(ctx.store, message.task)
        if task is None or (task.completed_at is not None and not message.durable):
            return 200  # `completed` is in line behind this, and says the same
        body = dialects()[task.dialect].task(task, Links(ctx.settings.public_url, ctx.signer))
        secret = await ctx.of(Keys).webhook_secret(task.account)
        headers = webhook_headers(secret, f"msg_{message.id}", int(time.time()), body)
        headers |= {"content-type": "application/json", "user-agent": "penstock-webhooks"}
        try:
            ctx.faults.reach("webhook.before")
            status = await ctx.guard.post(message.url, body, headers, ctx.settings.webhook_timeout_s)
            ctx.faults.reach("webhook.sent")
        except CallerError as error:
            logger("webhooks").warning("webhook refused", task=task.id, reason=str(error))
            return None
        except PenstockError:
            return None
        return status

    def _wait_for(self, receiver: Receiver) -> None:
        _, until = self._resting.get(receiver, (0, 0.0))
        rest = until - time.monotonic()
        if rest > 0:
            raise Retry(rest)
        if self._busy.get(receiver, 0) >= PER_HOST:
            raise Retry(0.05)

    def _leave(self, receiver: Receiver) -> None:
        self._busy[receiver] -= 1
        if not self._busy[receiver]:
            del self._busy[receiver]

    def _judge(self, receiver: Receiver, status: int | None) -> None:
        """No answer, 429, and 5xx are the host's fault; what else it says is about the one message."""
        if status is not None and status != 429 and status < 500:
            self._resting.pop(receiver, None)
            return
        failures = self._resting.get(receiver, (0, 0.0))[0] + 1
        pause_s = min(0.25 * 2 ** min(failures - 1, 20), LONGEST_REST_S) if failures > PER_HOST else 0.0
        at = time.monotonic()
        if len(self._resting) >= RESTING_MOST:
            self._resting = {who: rest for who, rest in self._resting.items() if rest[1] > at}
        self._resting[receiver] = (failures, at + pause_s)


def post(ctx: Context, task: Task, event: str) -> tuple[Step, ...]:
    """The steps that send this webhook, where the caller asked for it."""
    if task.webhook is None or (task.webhook_events and event not in task.webhook_events.split(",")):
        return ()
    message = Message(new_id(), task.id, event, task.webhook, created_at=now(), account=task.account)
    put = Step(None, {}, after=lambda: ctx.of(Outbox).add(message))
    return (files.message(message.id, task.id, event, task.webhook), put) if message.durable else (put,)


async def redeliver(ctx: Context, task: TaskId) -> None:
    """Send a task's last webhook again, by hand. Raises NotFound where it has none."""
    await ctx.store.write(files.redeliver(task))
    await ctx.of(Outbox).load()
