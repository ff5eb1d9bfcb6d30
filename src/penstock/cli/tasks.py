"""`penstock tasks`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.cli._showing import AsJson, Data, operate, out, say, show

commands = typer.Typer(name="tasks", help="Tasks: long jobs, and what became of them.", no_args_is_help=True)


@commands.command("list")
def list_tasks(
    state: Annotated[str, typer.Option(help="queued, running, succeeded, …")] = "",
    model: str = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    found = operate(data, "tasks.list", state=state, model=model, limit=limit)
    show(found, as_json, "id", "created_at", "state", "mode", "charge", below=("model", "error_code"))


@commands.command("show")
def show_task(task: str, data: Data = None, as_json: AsJson = False) -> None:
    """Show all about one task: its input, output, events, money, webhooks."""
    found = operate(data, "tasks.show", task=task)
    print(json.dumps(found)) if as_json else out.print_json(json.dumps(found))


@commands.command("cancel")
def cancel_task(task: str, data: Data = None) -> None:
    """Cancel a task."""
    say(f"task {task}: {operate(data, 'tasks.cancel', task=task)['state']}")


@commands.command("retry")
def retry_task(task: str, data: Data = None) -> None:
    """Make an ended task again, as a new one with its own hold."""
    print(operate(data, "tasks.retry", task=task)["id"])


@commands.command("redeliver")
def redeliver(task: str, data: Data = None) -> None:
    """Send a task's last webhook again."""
    operate(data, "tasks.redeliver", task=task)
    say(f"the webhook of {task} is on its way")


@commands.command("refund")
def refund_task(task: str, usd: str, reason: Annotated[str, typer.Option()], data: Data = None) -> None:
    """Give back some of what a task was charged."""
    operate(data, "tasks.refund", task=task, usd=usd, reason=reason)
    say(f"{usd} USD of {task} refunded")
