"""The rig itself: a real Cog server works on the caller's picture, and tells about it while it runs."""

import base64
import io
import json
import urllib.request
from typing import Any

import pytest
from PIL import Image, ImageOps

from tests.rigs.cog_server import CogServer, OldCogServer
from tests.webhook_receiver import Delivery, WebhookReceiver

ENDED = {"succeeded", "failed", "canceled"}


def picture() -> Image.Image:
    """Differs from its mirror image, and says more than four bits a channel can."""
    across = Image.linear_gradient("L").rotate(90)
    return Image.merge("RGB", (across, Image.radial_gradient("L"), Image.linear_gradient("L")))


def data_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def decoded(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


def is_worked_on(url: str) -> bool:
    return decoded(url).tobytes() == ImageOps.posterize(ImageOps.mirror(picture()), 4).tobytes()


def put(url: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    request.method = "PUT"
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status, json.load(answer)


def bodies(deliveries: list[Delivery]) -> list[dict[str, Any]]:
    return [json.loads(delivery.body) for delivery in deliveries]


def the_end(receiver: WebhookReceiver) -> dict[str, Any]:
    came = receiver.wait(lambda so_far: any(body["status"] in ENDED for body in bodies(so_far)))
    return next(body for body in bodies(came) if body["status"] in ENDED)


def test_a_server_works_on_the_callers_picture_and_its_logs_grow() -> None:
    with CogServer("picture") as cog, WebhookReceiver() as receiver:
        job = {"input": {"image": data_url(picture()), "steps": 6, "delay_s": 0.3}, "webhook": receiver.url}
        accepted = put(f"{cog.url}/predictions/p1", job, Prefer="respond-async")
        assert accepted == (202, {"id": "p1", "status": "starting"})
        end = the_end(receiver)
        running = [body["logs"] for body in bodies(receiver.deliveries) if body["status"] == "processing"]
        assert len({len(logs) for logs in running}) >= 3
        assert end["status"] == "succeeded"
        assert end["logs"].endswith("100%|##########| 6/6\n")
        assert is_worked_on(end["output"])


def test_a_server_says_when_its_worker_was_killed_and_comes_back_on_its_port() -> None:
    with CogServer("picture") as cog, WebhookReceiver() as receiver:
        job = {"input": {"image": data_url(picture()), "steps": 100}, "webhook": receiver.url}
        put(f"{cog.url}/predictions/p1", job, Prefer="respond-async")
        receiver.wait(lambda so_far: any(body.get("logs") for body in bodies(so_far)))  # the worker has it
        cog.kill_worker()
        assert the_end(receiver)["error"] == "Worker crashed"
        assert cog.state() == "UNHEALTHY"
        cog.kill()
        assert cog.health() is None
        cog.start()
        assert cog.state() == "READY"


@pytest.mark.parametrize("predictor", ["picture", "big", "words", "several", "trouble"])
def test_each_predictor_is_served_with_a_schema(predictor: str) -> None:
    with CogServer(predictor) as cog, urllib.request.urlopen(f"{cog.url}/openapi.json", timeout=5) as answer:
        schemas = json.load(answer)["components"]["schemas"]
        assert schemas["Input"]["properties"]
        assert schemas["Output"]["type"] in {"string", "array"}


def test_the_old_generation_works_on_the_callers_picture_too() -> None:
    with OldCogServer("picture") as cog:
        job = {"input": {"image": data_url(picture()), "steps": 2, "delay_s": 0}}
        status, end = put(f"{cog.url}/predictions/p1", job)
        assert (status, end["status"]) == (200, "succeeded")
        assert is_worked_on(end["output"])
