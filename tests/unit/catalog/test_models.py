"""Every model file is sound, and the catalogue finds, adds, overrides, and complains."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from penstock.catalog import BrokenCatalog, Catalog, Model, Version, check, defaults
from penstock.catalog.schemas import inlined, rendered, version_id
from penstock.clock import parse

CATALOG = Catalog.load()
REPLIES = Path(__file__).parents[2] / "replies"
SCRIPTS = {"instant", "slow", "failing", "flaky", "dying", "hanging", "refusing", "busy"}

every_model = pytest.mark.parametrize("model", CATALOG.models(), ids=lambda model: model.path)
every_version = pytest.mark.parametrize(
    ("model", "version"),
    [(model, version) for model in CATALOG.models() for version in model.versions],
    ids=lambda value: value.path if isinstance(value, Model) else value.id[:8],
)


def written(folder: Path, path: str, **changes: Any) -> Path:
    """A small sound model file below `folder`, with some of it changed."""
    content = {
        "kind": "image",
        "description": "fast painterly images",
        "usual_s": 2,
        "longest_s": 60,
        "source": "https://example.com/glowpaint",
        "read": "2026-11-20",
        "versions": [
            {
                "created_at": "2026-01-02T03:04:05.678901Z",
                "cog_version": "0.16.8",
                "input": {"type": "object", "properties": {"prompt": {"type": "string"}}},
                "output": {"type": "string", "format": "uri"},
            }
        ],
    }
    file = folder / f"{path}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content | changes))
    return file


# ── what is in the package ────────────────────────────────────────────────────────────────────────────────────────────


@every_model
def test_a_models_example_is_what_its_newest_version_takes(model: Model) -> None:
    check(model.latest, model.example)
    check(model.latest, defaults(model.latest, model.example))


@every_model
def test_a_model_is_priced_and_says_where_that_was_read(model: Model) -> None:
    assert model.prices
    assert len({price.unit for price in model.prices}) == len(model.prices)
    if model.owner == "sandbox":
        assert {price.micros for price in model.prices} == {0}
    else:
        assert all(price.micros and price.source.startswith("https://") for price in model.prices)
        assert model.source.startswith("https://")


@every_model
def test_a_model_is_in_collections_that_exist_and_found_by_its_names(model: Model) -> None:
    assert model.collections
    assert set(model.collections) <= {collection.slug for collection in CATALOG.collections()}
    assert model.names["replicate"] == model.path
    assert all(CATALOG.named(dialect, name) is model for dialect, name in model.names.items())


@every_version
def test_a_version_has_an_id_and_a_time(model: Model, version: Version) -> None:
    assert re.fullmatch("[0-9a-f]{64}", version.id)
    assert parse(version.created_at) <= parse(model.latest.created_at)
    assert CATALOG.version(version.id) == (model, version)
    assert model.version(version.id) is version


def test_a_hidden_version_is_named_after_its_schema() -> None:
    kling = CATALOG.find("kwaivgi/kling-v1.6-standard")
    assert kling is not None
    assert kling.latest.id == version_id(kling.path, kling.latest.input, kling.latest.output)
    assert version_id("other/model", kling.latest.input, kling.latest.output) != kling.latest.id


@every_version
def test_a_schema_renders_as_the_sdks_read_it(model: Model, version: Version) -> None:
    document = version.openapi_schema()
    assert document is version.openapi_schema()
    schemas = document["components"]["schemas"]
    assert schemas["Output"]["title"] == "Output"
    assert schemas["Input"]["type"] == "object"
    shown = schemas["Input"]["properties"]
    assert [property["x-order"] for property in shown.values()] == list(range(len(shown)))
    for name, property in shown.items():
        assert "enum" not in property
        assert ("allOf" in property) == ("enum" in version.input["properties"][name])
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in schemas


@every_version
def test_what_was_rendered_reads_back_as_the_same_rules(model: Model, version: Version) -> None:
    again = inlined(version.openapi_schema(), "Input")
    added = {"title", "x-order"}
    for name, schema in version.input["properties"].items():
        assert {key: part for key, part in again["properties"][name].items() if key not in added} == schema
    assert again.get("required") == version.input.get("required")


@every_version
def test_every_required_key_and_every_default_is_sound(model: Model, version: Version) -> None:
    properties = version.input["properties"]
    assert set(version.input.get("required", [])) <= set(properties)
    needed = {name: model.example[name] for name in version.input.get("required", [])}
    check(version, defaults(version, needed))


def test_the_sandbox_has_every_script() -> None:
    assert {model.name for model in CATALOG.models() if model.owner == "sandbox"} == SCRIPTS


def test_a_language_model_streams_and_a_picture_does_not() -> None:
    llama, schnell = (
        CATALOG.find("meta/meta-llama-3-8b-instruct"),
        CATALOG.find("black-forest-labs/flux-schnell"),
    )
    assert llama is not None and schnell is not None
    assert llama.latest.streams
    assert not schnell.latest.streams
    assert llama.latest.openapi_schema()["components"]["schemas"]["Output"] == {
        "type": "array",
        "title": "Output",
        "items": {"type": "string"},
        "x-cog-array-type": "iterator",
        "x-cog-array-display": "concatenate",
    }
    assert [(price.unit, price.micros, price.per) for price in llama.prices] == [
        ("input_token", 50_000, 1_000_000),
        ("output_token", 250_000, 1_000_000),
    ]


def test_collections_list_their_models_and_hardware_has_skus() -> None:
    kept = {collection.slug: collection for collection in CATALOG.collections()}
    assert kept["remove-backgrounds"].models == ("cjwbw/rembg", "lucataco/remove-bg")
    assert all(collection.models for collection in kept.values())
    skus = [hardware.sku for hardware in CATALOG.hardware()]
    assert {"cpu", "gpu-t4"} <= set(skus)
    assert len(set(skus)) == len(skus)


# ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_unknown_is_none() -> None:
    assert CATALOG.find("acme/glowpaint") is None
    assert CATALOG.version("0" * 64) is None
    assert CATALOG.named("kling", "kling-v9") is None


def test_a_vendors_own_name_and_the_path_both_find() -> None:
    kling = CATALOG.find("kwaivgi/kling-v1.6-standard")
    assert CATALOG.named("kling", "kling-v1-6") is kling
    assert CATALOG.named("openai", "kwaivgi/kling-v1.6-standard") is kling


def test_search_wants_every_word_and_puts_names_first() -> None:
    assert [model.path for model in CATALOG.search("REMBG")] == ["cjwbw/rembg"]
    paths = [model.path for model in CATALOG.search("flux image")]
    assert "black-forest-labs/flux-schnell" in paths and "stability-ai/sdxl" not in paths
    assert CATALOG.search("kling")[0].path == "kwaivgi/kling-v1.6-standard"
    assert CATALOG.search("no such thing at all") == []


# ── an operator's folder ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_operators_folder_adds_and_overrides(tmp_path: Path) -> None:
    written(tmp_path, "acme/glowpaint-1.5", collections=["text-to-image"], names={"openai": "glowpaint"})
    written(tmp_path, "stability-ai/sdxl", description="our own")
    catalog = Catalog.load(tmp_path)
    added, changed = catalog.find("acme/glowpaint-1.5"), catalog.find("stability-ai/sdxl")
    assert added is not None and changed is not None
    assert (added.owner, added.name, added.path) == ("acme", "glowpaint-1.5", "acme/glowpaint-1.5")
    assert catalog.named("openai", "glowpaint") is added
    assert catalog.version(added.latest.id) == (added, added.latest)
    assert "acme/glowpaint-1.5" in catalog.collections()[0].models
    assert changed.description == "our own"
    assert catalog.version("7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc") is None
    assert len(catalog.models()) == len(CATALOG.models()) + 1


def test_a_vendors_own_document_is_kept_and_checked_against(tmp_path: Path) -> None:
    document = json.loads((REPLIES / "cog" / "old_openapi_picture.json").read_text())["body"]
    stamped = {"created_at": "2026-01-02T03:04:05Z", "cog_version": "0.16.12", "openapi_schema": document}
    written(tmp_path, "acme/glowpaint", versions=[stamped])
    model = Catalog.load(tmp_path).find("acme/glowpaint")
    assert model is not None
    assert model.latest.openapi_schema() == document
    assert "$ref" not in json.dumps(model.latest.input)
    assert model.latest.input["properties"].keys() == document["components"]["schemas"]["Input"]["properties"].keys()
    read = Version.from_openapi("acme/glowpaint", document, stamped["created_at"], stamped["cog_version"])
    assert read.id == model.latest.id


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "smell"}, r"Invalid enum value 'smell' - at `\$.kind`"),
        ({"usual_s": "fast"}, r"Expected `float`, got `str` - at `\$.usual_s`"),
        ({"usual_s": 90}, "usual_s is more than longest_s"),
        ({"speed": 3}, "unknown field `speed`"),
        ({"versions": []}, "`array` of length >= 1"),
        ({"versions": [{"created_at": "2026-01-02T03:04:05Z", "cog_version": ""}]}, "needs `input` with `properties`"),
        ({"versions": [{"created_at": "yesterday", "cog_version": "", "input": {}}]}, "created_at"),
        (
            {
                "versions": [
                    {
                        "created_at": "2026-01-02T03:04:05Z",
                        "cog_version": "",
                        "input": {"properties": {"x": {"type": "colour"}}},
                    }
                ]
            },
            "not a schema: .*colour",
        ),
        ({"price": [{"unit": "smile", "micros": 1, "source": "", "read": "2026-11-20"}]}, "smile"),
        ({"price": [{"unit": "run", "micros": -1, "source": "", "read": "2026-11-20"}]}, "micros"),
        ({"names": {"kling": "kling-v1-6"}}, "another model has the name"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    written(tmp_path, "acme/glowpaint", **changes)
    with pytest.raises(BrokenCatalog, match=complaint) as broken:
        Catalog.load(tmp_path)
    assert "acme/glowpaint" in str(broken.value) or "kling-v1.6" in str(broken.value)


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "acme/glowpaint")
    file.write_text("{")
    with pytest.raises(BrokenCatalog, match=re.escape(str(file))):
        Catalog.load(tmp_path)


def test_a_name_that_no_url_could_carry_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "acme/glow paint")
    with pytest.raises(BrokenCatalog, match="glow paint"):
        Catalog.load(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BrokenCatalog, match="no such folder"):
        Catalog.load(tmp_path / "gone")


# ── schemas that no file of ours has ──────────────────────────────────────────────────────────────────────────────────


def test_an_enum_whose_key_is_a_reserved_word_gets_another_component() -> None:
    document = rendered({"properties": {"Status": {"type": "string", "enum": ["on"]}}}, {})
    schemas = document["components"]["schemas"]
    assert schemas["Input"]["properties"]["Status"]["allOf"] == [{"$ref": "#/components/schemas/Status_choice"}]
    assert schemas["Status"]["enum"][0] == "starting"


def test_a_schema_inside_itself_ends() -> None:
    tree = {"properties": {"child": {"$ref": "#/components/schemas/Input"}, "size": {"type": "integer"}}}
    assert inlined({"components": {"schemas": {"Input": tree}}}, "Input") == {
        "properties": {"child": {}, "size": {"type": "integer"}}
    }
