"""Providers that only tests have (`PENSTOCK_PLUGINS=tests.rigs.askable`): Replicate's API with other virtues."""

from __future__ import annotations

from penstock.canonical.task import Report, TaskId
from penstock.providers._base import Provider, Talk, get
from penstock.providers.replicate import ReplicatePrediction


class AskablePrediction(ReplicatePrediction):
    findable = True

    def find(self, tag: TaskId) -> Talk[Report | None]:
        found = (yield get(f"/predictions?tag={tag}"))["results"]
        return self.report(found[0]) if found else None


class UncancellablePrediction(ReplicatePrediction):
    cancellable = False


class Askable(Provider):
    """A vendor that tells by our tag whether it has a job of ours."""

    name = "askable"
    tasks = (AskablePrediction(),)


class Uncancellable(Provider):
    """A vendor whose jobs, once begun, run to their end."""

    name = "uncancellable"
    tasks = (UncancellablePrediction(),)
