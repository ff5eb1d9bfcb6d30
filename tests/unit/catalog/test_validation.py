"""Every rule in Replicate's words, and what passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalog import Catalog, Model, Version, check, defaults
from penstock.errors import InvalidInput

CATALOG = Catalog.load()
DAY = "2026-11-20T00:00:00Z"
ANY_OF = "Must validate at least one schema (anyOf)"
ONE_OF = "Must validate one and only one schema (oneOf)"


def version(input: dict[str, Any]) -> Version:
    return Version(DAY, "0.16.8", input=input).completed("acme/glowpaint")


def one(schema: Any, **more: Any) -> Version:
    """A version whose input has one key, `x`."""
    return version({"type": "object", "properties": {"x": schema}, **more})


def problems(version: Version, input: Any) -> list[tuple[str, str, str]]:
    try:
        check(version, input)
    except InvalidInput as refused:
        return [(field.path, field.rule, field.words) for field in refused.fields]
    return []


def model(path: str) -> Model:
    found = CATALOG.find(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("schema", "value", "rule", "words"),
    [
        ({"type": "integer"}, "a", "invalid_type", "Invalid type. Expected: integer, given: string"),
        ({"type": "string"}, 3, "invalid_type", "Invalid type. Expected: string, given: integer"),
        ({"type": "string"}, 3.0, "invalid_type", "Invalid type. Expected: string, given: integer"),
        ({"type": "string"}, 3.5, "invalid_type", "Invalid type. Expected: string, given: number"),
        ({"type": "string"}, True, "invalid_type", "Invalid type. Expected: string, given: boolean"),
        ({"type": "string"}, None, "invalid_type", "Invalid type. Expected: string, given: null"),
        ({"type": "string"}, [], "invalid_type", "Invalid type. Expected: string, given: array"),
        ({"type": "string"}, {}, "invalid_type", "Invalid type. Expected: string, given: object"),
        ({"type": "integer"}, True, "invalid_type", "Invalid type. Expected: integer, given: boolean"),
        ({"type": "integer", "nullable": True}, "a", "invalid_type", "Invalid type. Expected: integer, given: string"),
        (
            {"type": ["integer", "string"]},
            [],
            "invalid_type",
            "Invalid type. Expected: [integer,string], given: array",
        ),
        ({"enum": ["a", "b"]}, "c", "enum", 'input.x must be one of the following: "a", "b"'),
        ({"type": "integer", "enum": [5, 10]}, 7, "enum", "input.x must be one of the following: 5, 10"),
        (
            {"type": "string", "enum": ["a"], "nullable": True},
            "c",
            "enum",
            'input.x must be one of the following: "a"',
        ),
        ({"const": "a"}, "b", "const", 'input.x does not match: "a"'),
        ({"minimum": 1}, 0, "number_gte", "Must be greater than or equal to 1"),
        ({"minimum": 1.0}, 0, "number_gte", "Must be greater than or equal to 1"),
        ({"minimum": 0.25}, 0, "number_gte", "Must be greater than or equal to 0.25"),
        ({"maximum": 50}, 51, "number_lte", "Must be less than or equal to 50"),
        ({"exclusiveMinimum": 2}, 2, "number_gt", "Must be greater than 2"),
        ({"exclusiveMaximum": 2}, 2, "number_lt", "Must be less than 2"),
        ({"minimum": 2, "exclusiveMinimum": True}, 2, "number_gt", "Must be greater than 2"),
        ({"maximum": 2, "exclusiveMaximum": True}, 2, "number_lt", "Must be less than 2"),
        ({"multipleOf": 16}, 17, "multiple_of", "Must be a multiple of 16"),
        ({"minLength": 2}, "a", "string_gte", "String length must be greater than or equal to 2"),
        ({"maxLength": 2}, "abc", "string_lte", "String length must be less than or equal to 2"),
        ({"pattern": "^a"}, "b", "pattern", "Does not match pattern '^a'"),
        ({"type": "string", "format": "uri"}, "cat.png", "format", "Does not match format 'uri'"),
        ({"minItems": 2}, [1], "array_min_items", "Array must have at least 2 items"),
        ({"maxItems": 2}, [1, 2, 3], "array_max_items", "Array must have at most 2 items"),
        ({"uniqueItems": True}, [3, 1, 2, 1], "unique", "array items[1,3] must be unique"),
        ({"anyOf": [{"type": "null"}, {"minimum": 3}]}, 2, "number_any_of", ANY_OF),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3, "number_one_of", ONE_OF),
        ({"oneOf": [{"minimum": 5}, {"minimum": 6}]}, 3, "number_one_of", ONE_OF),
        ({"not": {"minimum": 1}}, 3, "number_not", "Must not validate the schema (not)"),
        ({"not": {}}, 3, "number_not", "Must not validate the schema (not)"),
        ({"contains": {"minimum": 9}}, [3], "contains", "At least one of the items must match"),
        (False, 3, "falseSchema", "Does not match the schema (falseSchema)"),
        ({"minProperties": 1}, {}, "array_min_properties", "Must have at least 1 properties"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_in_replicates_words(schema: Any, value: Any, rule: str, words: str) -> None:
    assert problems(one(schema), {"x": value}) == [("input.x", rule, words)]


def test_a_missing_key_is_reported_at_its_parent() -> None:
    inner = {"type": "object", "required": ["b"], "properties": {"b": {}}}
    assert problems(one(inner, required=["y"]), {"x": {}}) == [
        ("input", "required", "y is required"),
        ("input.x", "required", "b is required"),
    ]


def test_places_in_lists_are_dotted_too() -> None:
    schema = {"type": "array", "items": {"type": "string", "format": "uri"}}
    assert problems(one(schema), {"x": ["https://example.com/a.png", "b.png"]}) == [
        ("input.x.1", "format", "Does not match format 'uri'")
    ]


def test_only_a_closed_schema_minds_unknown_keys() -> None:
    assert problems(one({}), {"y": 1, "z": 2}) == []
    assert problems(one({}, additionalProperties=False), {"y": 1, "z": 2}) == [
        ("input", "additional_property_not_allowed", "Additional property y is not allowed"),
        ("input", "additional_property_not_allowed", "Additional property z is not allowed"),
    ]


def test_what_has_the_wrong_type_is_not_blamed_for_more() -> None:
    schema = {"type": "string", "enum": ["a"], "pattern": "^a"}
    assert [rule for _, rule, _ in problems(one(schema), {"x": 1})] == ["invalid_type"]


@pytest.mark.parametrize("input", [[], "text", None, 3])
def test_an_input_is_an_object(input: Any) -> None:
    ((path, rule, words),) = problems(version({"properties": {"x": {}}}), input)
    assert (path, rule) == ("input", "invalid_type")
    assert words.startswith("Invalid type. Expected: object, given: ")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "nullable": True}, None),
        ({"type": "string", "enum": ["a"], "nullable": True}, None),
        ({"allOf": [{"minimum": 3}, {"maximum": 5}], "nullable": True}, None),
        ({"nullable": True}, None),
        ({"type": "integer"}, 2.0),
        ({"type": "integer"}, 2**80),
        ({"type": "number"}, 2),
        ({"minimum": 2, "exclusiveMinimum": False}, 2),
        ({"type": "string", "format": "uri"}, "data:image/png;base64,AAAA"),
        ({"type": "string", "format": "uri"}, "https://example.com/ein schöner name.png"),
        ({"type": "string", "format": "password"}, "secret"),
        ({"type": "string", "format": "made-up"}, "anything"),
        ({"type": "object", "properties": {"nullable": {"type": "boolean"}}}, {"nullable": True}),
    ],
)
def test_what_passes(schema: dict[str, Any], value: Any) -> None:
    assert problems(one(schema), {"x": value}) == []


def test_an_input_of_a_thousand_storeys_is_refused_and_not_an_error_of_ours() -> None:
    tower: list[Any] = []
    for _ in range(1000):
        tower = [tower]
    schnell = model("black-forest-labs/flux-schnell").latest
    assert problems(schnell, {"prompt": tower}) == [("input", "depth", "Nested too deeply")]


def test_of_a_huge_input_only_the_first_problem_is_told() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    wrong = "Invalid type. Expected: string, given: integer"
    assert len(problems(one(schema), {"x": [1] * 500})) == 500
    assert problems(one(schema), {"x": [1] * 1_000_000}) == [("input.x.0", "invalid_type", wrong)]


def test_a_schema_that_is_none_is_refused_when_it_is_compiled() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        _ = one({"type": "nonsense"}).validator


def test_the_message_is_the_detail_of_replicates_422() -> None:
    with pytest.raises(InvalidInput) as refused:
        check(model("black-forest-labs/flux-schnell").latest, {"num_inference_steps": 50})
    assert str(refused.value) == (
        "- input: prompt is required\n- input.num_inference_steps: Must be less than or equal to 4\n"
    )


def test_defaults_fill_what_is_missing_and_nothing_else() -> None:
    schnell = model("black-forest-labs/flux-schnell").latest
    asked = {"prompt": "a boat", "num_outputs": 3, "seed": None}
    filled = defaults(schnell, asked)
    assert filled == {
        "prompt": "a boat",
        "num_outputs": 3,
        "seed": None,
        "aspect_ratio": "1:1",
        "num_inference_steps": 4,
        "output_format": "webp",
        "output_quality": 80,
        "disable_safety_checker": False,
        "go_fast": True,
        "megapixels": "1",
    }
    assert asked == {"prompt": "a boat", "num_outputs": 3, "seed": None}


def test_defaults_are_not_shared() -> None:
    listing = one({"type": "array", "default": []})
    defaults(listing, {})["x"].append(1)
    assert defaults(listing, {}) == {"x": []}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PATHS = [model.path for model in CATALOG.models()]


@given(path=st.sampled_from(PATHS), data=st.data())
def test_any_input_passes_or_is_told_why(path: str, data: st.DataObject) -> None:
    version = model(path).latest
    names = sorted(version.input["properties"])
    input = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), JSON, max_size=4))
    for place, rule, words in problems(version, input):
        assert place.split(".")[0] == "input"
        assert rule
        assert words


@given(data=st.data())
def test_whole_numbers_and_their_floats_are_judged_alike(data: st.DataObject) -> None:
    schnell = model("black-forest-labs/flux-schnell").latest
    steps = data.draw(st.integers(-(2**53), 2**53))
    asked = {"prompt": "a boat", "num_inference_steps": steps}
    assert problems(schnell, asked) == problems(schnell, asked | {"num_inference_steps": float(steps)})
