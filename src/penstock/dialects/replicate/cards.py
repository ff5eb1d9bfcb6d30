"""What is on the shelf as Replicate shows it: models, versions, collections, deployments, accounts."""

from __future__ import annotations

from typing import Any

from penstock.canonical.results import CollectionCard, Deployed, Found, ModelCard, VersionCard
from penstock.clock import rfc3339
from penstock.dialects._base import Links

Shown = dict[str, Any]


def version(card: VersionCard) -> Shown:
    """All four keys: the Python client demands them."""
    return {
        "id": card.id,
        "created_at": card.created_at,
        "cog_version": card.cog_version,
        "openapi_schema": card.openapi_schema,
    }


def model(card: ModelCard, links: Links) -> Shown:
    return {
        "url": f"{links.base}/{card.path}",
        "owner": card.owner,
        "name": card.name,
        "description": card.description,
        "visibility": "public",
        "is_official": card.official,
        "github_url": card.github_url,
        "paper_url": card.paper_url,
        "license_url": card.license_url,
        "run_count": card.run_count,
        "cover_image_url": card.cover,
        "default_example": None,  # it would have to be a whole prediction
        "latest_version": version(card.versions[0]) if card.versions else None,
    }


def collection(card: CollectionCard) -> Shown:
    return {"name": card.name, "slug": card.slug, "description": card.description}


def whole_collection(card: CollectionCard, links: Links) -> Shown:
    models = [model(one, links) for one in card.models]
    return collection(card) | {"full_description": card.full_description, "models": models}


def found(result: Found, links: Links) -> Shown:
    """Models best first, so that their place is their score."""
    count = len(result.models)
    return {
        "query": result.query,
        "models": [_hit(card, 1 - place / count, links) for place, card in enumerate(result.models)],
        "collections": [collection(one) | {"models": [m.path for m in one.models]} for one in result.collections],
        "pages": [],
    }


def _hit(card: ModelCard, score: float, links: Links) -> Shown:
    told = {"generated_description": card.description, "tags": list(card.tags), "score": round(score, 3)}
    return {"model": model(card, links), "metadata": told}


def account(name: str) -> Shown:
    return {"type": "organization", "username": name, "name": name, "github_url": None, "avatar_url": None}


def deployment(deployed: Deployed) -> Shown:
    release = {
        "number": deployed.release,
        "model": deployed.model,
        "version": deployed.version,
        "created_at": rfc3339(deployed.released_at),
        "created_by": account(deployed.owner),
        "configuration": deployed.configuration,
    }
    return {"owner": deployed.owner, "name": deployed.name, "current_release": release}
