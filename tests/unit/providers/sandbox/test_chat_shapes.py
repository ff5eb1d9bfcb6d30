"""JSON by schema: whatever the sandbox makes passes the check, and where it finds nothing it says so."""

import re

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import InvalidInput, Unsupported
from penstock.providers.sandbox.shapes import fitting, matching
from penstock.providers.sandbox.voice import Voice, listed

SAID = 'The weather in Oslo and New York on "my birthday", 42 times, in celsius?'
NODE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "kids", "next"],
            "additionalProperties": False,
        }
    },
}
SCHEMAS = {
    "anything": {},
    "object": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}}, "required": ["a"]},
    "named": {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False},
    "implied": {"properties": {"n": {"minimum": 3, "exclusiveMaximum": 3.5}}},
    "many": {"type": "object", "minProperties": 3, "additionalProperties": {"type": "integer"}},
    "required beside": {"type": "object", "required": ["x"], "additionalProperties": {"const": 7}},
    "array": {"type": "array", "minItems": 3, "maxItems": 4, "items": {"type": "number"}},
    "unique": {"type": "array", "minItems": 3, "uniqueItems": True, "items": {"enum": ["a", "b", "c"]}},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
    "null": {"type": "null"},
    "either": {"type": ["null", "integer"]},
    "step": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.25},
    "negative": {"type": "integer", "maximum": -5},
    "far": {"type": "integer", "minimum": 10_000_000_000},
    "short": {"type": "string", "maxLength": 3},
    "long": {"type": "string", "minLength": 200, "maxLength": 210},
    "pattern": {"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"},
    "alternatives": {"type": "string", "pattern": r"^(foo|bar)(-\w+)*\.(?:png|jpe?g)$"},
    "all": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"a": {"minLength": 40}, "b": {"const": 3}}, "required": ["b"]},
        ]
    },
    "one": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "any": {"anyOf": [False, {"type": "object", "properties": {"kind": {"const": "x"}}, "required": ["kind"]}]},
    "recursive": NODE,
    "itself": {"type": "object", "properties": {"more": {"$ref": "#"}}},
    "not": {"not": {"type": "string"}},
    "escaped": {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "integer"}}},
}
FORMATS = ("date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "regex")


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_made_passes_the_check(name):
    value = fitting(SCHEMAS[name], Voice(SAID))
    assert jsonschema_rs.Draft202012Validator(SCHEMAS[name]).is_valid(value), value
    assert value == fitting(SCHEMAS[name], Voice(SAID))


@pytest.mark.parametrize("format", FORMATS)
def test_strings_have_their_format(format):
    schema = {"type": "string", "format": format}
    assert jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid(fitting(schema, Voice(SAID)))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"enum": [1], "type": "string"},
        {"type": "string", "pattern": "^(?=a)b$"},
        {"type": "string", "pattern": "a{9000}{9000}"},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "object", "required": ["me"], "properties": {"me": {"$ref": "#"}}},
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"not": {}},
    ],
)
def test_what_nothing_fits_is_said(schema):
    with pytest.raises(Unsupported, match="found no JSON"):
        fitting(schema, Voice(SAID))


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "#/nowhere"}, {"$ref": "https://example.com/x"}])
def test_what_is_no_schema_is_said(schema):
    with pytest.raises(InvalidInput, match="no JSON schema"):
        fitting(schema, Voice(SAID))


def test_a_schema_that_doubles_at_every_step_comes_to_an_end():
    steps = {f"s{n}": {"properties": {"a": {"$ref": f"#/$defs/s{n + 1}"}, "b": {"$ref": f"#/$defs/s{n + 1}"}}}
             for n in range(60)}  # fmt: skip
    schema = {"$ref": "#/$defs/s0", "$defs": {**steps, "s60": {"type": "string"}}}
    assert isinstance(fitting(schema, Voice(SAID)), dict)


def test_the_callers_words_fill_it():
    schema = {
        "type": "object",
        "properties": {
            "day": {"type": "string"},
            "city": {"type": "string"},
            "unit": {"enum": ["kelvin", "celsius"]},
            "times": {"type": "integer", "maximum": 50},
        },
    }
    made = fitting(schema, Voice(SAID))
    assert made == {"day": "my birthday", "city": "Oslo", "unit": "celsius", "times": 42}


def test_lists_of_names_are_seen():
    assert listed("weather in Oslo, Bergen and New York now") == ["Oslo", "Bergen", "New York"]
    assert listed("Hello Anna, weather in Oslo") == []


@pytest.mark.parametrize("pattern", [r"\d{3}", r"[^a-z]x", r"a|b", r"(ab)+?c*", r"\S\s\W\D", r"[\w.]+@[\w.]+", "é."])
def test_patterns_match(pattern):
    assert re.fullmatch(pattern, matching(pattern))


LEAVES = st.sampled_from([{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")])
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda named: {"type": "object", "properties": named, "required": list(named)},
            st.dictionaries(st.text(max_size=5), inner, max_size=4),
        ),
    ),
)


@settings(max_examples=200, deadline=None)
@given(NESTED, st.text(max_size=80))
def test_any_nested_schema_is_satisfied(schema, said):
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(fitting(schema, Voice(said)))
