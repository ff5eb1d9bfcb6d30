"""What /metrics shows. Labels are bounded: never a key, an account, or a model."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.requests = Counter("penstock_requests", "HTTP requests answered", ["dialect", "status"], registry=registry)
        self.created = Counter("penstock_tasks_created", "Tasks accepted", ["mode"], registry=registry)
        self.made = cache(self.created.labels)  # by mode; to look it up each time costs more than to count
        self.ended = Counter("penstock_tasks_ended", "Tasks ended", ["state"], registry=registry)
        self.steps = Counter("penstock_task_steps", "Steps taken by the task worker", ["outcome"], registry=registry)
        self.polled = self.steps.labels("polled")
        self.unfinished = Gauge("penstock_tasks_unfinished", "Tasks with work left", registry=registry)
        self.lag = Histogram(
            "penstock_task_lag_seconds",
            "How late a task's step began",
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15),
            registry=registry,
        )
        self.webhooks = Counter("penstock_webhooks", "Webhook deliveries", ["outcome"], registry=registry)
