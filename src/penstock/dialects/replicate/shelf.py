"""What there is to use: models, their versions, collections, hardware; deployments of the caller's; the account.

Models and trainings can't be made here: those routes say so, in place of a 404 that would look like a wrong path.
"""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.canonical.commands import Change, Create, Delete, List, Show, Whoami
from penstock.canonical.results import CollectionCard, Deployed, Found, HardwareCard, ModelCard, VersionCard
from penstock.canonical.task import Page
from penstock.canonical.who import Caller
from penstock.dialects._base import Dialect, Incoming, Outgoing, route
from penstock.dialects.replicate import cards
from penstock.dialects.replicate.bodies import Rule, read
from penstock.dialects.replicate.files import write_nothing
from penstock.dialects.replicate.pages import write_page
from penstock.dialects.replicate.predictions import write_tasks
from penstock.errors import CallerError, Forbidden, Unsupported

SORTS = {"sort_by": ("latest_version_created_at", "model_created_at"), "sort_direction": ("desc", "asc")}
RELEASE = {
    "version": Rule("string"),
    "hardware": Rule("string"),
    "min_instances": Rule("integer", least=0, most=5),
    "max_instances": Rule("integer", least=0, most=20),
}
DEPLOYMENT = {
    "name": Rule("string", required=True),
    "model": Rule("string", required=True),
    "version": Rule("string", required=True),
    "hardware": Rule("string", required=True),
    "min_instances": Rule("integer", required=True, least=0, most=5),
    "max_instances": Rule("integer", required=True, least=0, most=20),
}
FOUND_AT_ONCE = 20
FOUND_MOST = 50


def write_model(dialect: Dialect, card: ModelCard, http: Incoming) -> Outgoing:
    return Outgoing(200, cards.model(card, http.links))


def write_models(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    return write_page(page, [cards.model(card, http.links) for card in page.results], http)


def write_version(dialect: Dialect, card: VersionCard, http: Incoming) -> Outgoing:
    return Outgoing(200, cards.version(card))


def write_versions(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    return write_page(page, [cards.version(card) for card in page.results], http)


def write_readme(dialect: Dialect, text: str, http: Incoming) -> Outgoing:
    return Outgoing(200, text.encode(), content_type="text/markdown; charset=utf-8")


def write_found(dialect: Dialect, found: Found, http: Incoming) -> Outgoing:
    return Outgoing(200, cards.found(found, http.links))


def write_found_models(dialect: Dialect, found: Found, http: Incoming) -> Outgoing:
    return write_page(Page(), [cards.model(card, http.links) for card in found.models], http)


def write_collection(dialect: Dialect, card: CollectionCard, http: Incoming) -> Outgoing:
    return Outgoing(200, cards.whole_collection(card, http.links))


def write_collections(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    return write_page(page, [cards.collection(card) for card in page.results], http)


def write_hardware(dialect: Dialect, found: list[HardwareCard], http: Incoming) -> Outgoing:
    return Outgoing(200, [{"name": card.name, "sku": card.sku} for card in found])


def write_deployment(dialect: Dialect, deployed: Deployed, http: Incoming) -> Outgoing:
    return Outgoing(200, cards.deployment(deployed))


def write_deployments(dialect: Dialect, page: Page, http: Incoming) -> Outgoing:
    return write_page(page, [cards.deployment(deployed) for deployed in page.results], http)


def write_account(dialect: Dialect, caller: Caller, http: Incoming) -> Outgoing:
    return Outgoing(200, cards.account(caller.account_name))


def write_empty_page(dialect: Dialect, caller: Caller, http: Incoming) -> Outgoing:
    return write_page(Page(), [], http)


class Shelf(Dialect):
    @route("GET", "/models", write_models)
    def list_models(self, http: Incoming) -> List:
        """List models."""
        filters = {name: http.query[name] for name in SORTS if http.query.get(name)}
        for name, value in filters.items():
            if value not in SORTS[name]:
                raise CallerError(f'Query parameter "{name}" must be one of {", ".join(SORTS[name])}')
        return List("models", cursor=http.query.get("cursor"), filters=filters)

    @route("QUERY", "/models", write_found_models)
    def query_models(self, http: Incoming) -> List:
        """Search for models: the body is the text, which two of the three SDKs send as a JSON string."""
        text = http.body.decode("utf-8", "replace").strip()
        if text.startswith('"') and text.endswith('"'):
            text = str(http.json())
        return List("search", limit=100, filters={"query": text})

    @route("GET", "/search", write_found)
    def search(self, http: Incoming) -> List:
        """Search for models and collections."""
        text = http.query.get("query", "").strip()
        if not text:
            raise CallerError('Query parameter "query" is required')
        return List("search", limit=_limit(http), filters={"query": text})

    @route("GET", "/models/{owner}/{name}", write_model)
    def get_model(self, http: Incoming) -> Show:
        """Get a model."""
        return Show("model", _named(http))

    @route("GET", "/models/{owner}/{name}/readme", write_readme)
    def readme(self, http: Incoming) -> Show:
        """Get a model's README, as Markdown."""
        return Show("readme", _named(http))

    @route("GET", "/models/{owner}/{name}/examples", write_tasks)
    def list_examples(self, http: Incoming) -> List:
        """List a model's example predictions."""
        return List("examples", _named(http), http.query.get("cursor"))

    @route("GET", "/models/{owner}/{name}/versions", write_versions)
    def list_versions(self, http: Incoming) -> List:
        """List a model's versions, newest first."""
        return List("versions", _named(http), http.query.get("cursor"))

    @route("GET", "/models/{owner}/{name}/versions/{version}", write_version)
    def get_version(self, http: Incoming) -> Show:
        """Get a version of a model, with its schema."""
        return Show("version", f"{_named(http)}:{http.path['version']}")

    @route("POST", "/models", write_nothing)
    @route("PATCH", "/models/{owner}/{name}", write_nothing)
    @route("DELETE", "/models/{owner}/{name}", write_nothing)
    @route("DELETE", "/models/{owner}/{name}/versions/{version}", write_nothing)
    def edit_models(self, http: Incoming) -> NoReturn:
        """Not offered: the models here are the operator's."""
        raise Forbidden("Models of this gateway can't be created, changed, or deleted by its API. Ask your operator.")

    @route("GET", "/collections", write_collections)
    def list_collections(self, http: Incoming) -> List:
        """List collections of models."""
        return List("collections", cursor=http.query.get("cursor"))

    @route("GET", "/collections/{slug}", write_collection)
    def get_collection(self, http: Incoming) -> Show:
        """Get a collection with its models."""
        return Show("collection", http.path["slug"])

    @route("GET", "/hardware", write_hardware)
    def list_hardware(self, http: Incoming) -> List:
        """List hardware that models run on."""
        return List("hardware")

    @route("GET", "/account", write_account)
    def get_account(self, http: Incoming) -> Whoami:
        """Get the account that the key belongs to."""
        return Whoami()

    @route("GET", "/deployments", write_deployments)
    def list_deployments(self, http: Incoming) -> List:
        """List deployments."""
        return List("deployments", cursor=http.query.get("cursor"))

    @route("POST", "/deployments", write_deployment)
    def create_deployment(self, http: Incoming) -> Create:
        """Create a deployment."""
        return Create("deployment", read(http.body, DEPLOYMENT).values)

    @route("GET", "/deployments/{owner}/{name}", write_deployment)
    def get_deployment(self, http: Incoming) -> Show:
        """Get a deployment."""
        return Show("deployment", _named(http))

    @route("PATCH", "/deployments/{owner}/{name}", write_deployment)
    def change_deployment(self, http: Incoming) -> Change:
        """Change a deployment, which makes a new release of it."""
        return Change("deployment", _named(http), read(http.body, RELEASE).values)

    @route("DELETE", "/deployments/{owner}/{name}", write_nothing)
    def delete_deployment(self, http: Incoming) -> Delete:
        """Delete a deployment."""
        return Delete("deployment", _named(http))

    @route("GET", "/trainings", write_empty_page)
    def list_trainings(self, http: Incoming) -> Whoami:
        """List trainings: there are none."""
        return Whoami()

    @route("GET", "/trainings/{id}", write_nothing)
    @route("POST", "/trainings/{id}/cancel", write_nothing)
    @route("POST", "/models/{owner}/{name}/versions/{version}/trainings", write_nothing)
    def train(self, http: Incoming) -> NoReturn:
        """Not offered: nothing is trained here."""
        raise Unsupported("This gateway does not train models.")


def _named(http: Incoming) -> str:
    return f"{http.path['owner']}/{http.path['name']}"


def _limit(http: Incoming) -> int:
    said: Any = http.query.get("limit") or str(FOUND_AT_ONCE)
    if not (said.isascii() and said.isdigit() and len(said) < 4 and 1 <= int(said) <= FOUND_MOST):
        raise CallerError(f'Query parameter "limit" must be 1 to {FOUND_MOST}')
    return int(said)
