"""A model that we know: what it makes, what it takes, what it usually needs, and what its vendor asks for it."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field, json, structs

from penstock.canonical.usage import Micros, Unit
from penstock.catalog import schemas, validation

Kind = Literal["image", "video", "audio", "text", "json"]
"""What comes out. An upscaler makes images and a composer audio; what a model is for, its collections say."""

VersionId = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$")]


class ListPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """`micros` for every `per` units, the page that said so, and the day on which we read it.

    `above`: for work that takes in more than so many tokens. `when`: for work whose input says so, defaults included,
    such as `{"resolution": "1080p"}`.
    """

    unit: Unit
    micros: Annotated[Micros, Meta(ge=0)]
    source: str
    read: Date
    per: Annotated[int, Meta(ge=1)] = 1
    above: Annotated[int, Meta(ge=0)] = 0
    when: dict[str, str] = {}


class Version(Struct, frozen=True, dict=True, eq=False, forbid_unknown_fields=True):
    """One published state of a model. Compares by identity; what it caches is shared, so read it and don't change it.

    `created_at` is the vendor's, or where that is unknown the day on which the version was first seen; `cog_version`
    is empty where unknown. `input` and `output` are in our form (`schemas`); a vendor's own document, where we have
    it, is `document`, and wins.
    """

    created_at: Moment
    cog_version: str
    id: VersionId = ""
    input: dict[str, Any] = {}
    output: dict[str, Any] = {}
    document: dict[str, Any] | None = field(default=None, name="openapi_schema")

    @classmethod
    def from_openapi(cls, path: str, document: dict[str, Any], created_at: str, cog_version: str) -> Version:
        """A version read from the document that a running Cog server publishes, for the model `path`."""
        return cls(created_at, cog_version, document=document).completed(path)

    def completed(self, path: str) -> Version:
        """The same with what a file may leave out: schemas from the document, an id from the schemas."""
        document = self.document
        input = self.input if document is None else schemas.inlined(document, "Input")
        output = self.output if document is None else schemas.inlined(document, "Output")
        return structs.replace(self, id=self.id or schemas.version_id(path, input, output), input=input, output=output)

    def openapi_schema(self) -> dict[str, Any]:
        """The document that Replicate's SDKs read."""
        return self._rendered if self.document is None else self.document

    @property
    def streams(self) -> bool:
        """Whether the output grows piece by piece while the model runs, as a language model's does."""
        return self.output.get("x-cog-array-type") == "iterator"

    @cached_property
    def validator(self) -> validation.Validator:
        return validation.compiled({"type": "object", **self.input})

    @cached_property
    def files(self) -> frozenset[str]:
        """The input fields that hold files."""
        fields = self.input.get("properties", {}).items()
        return frozenset(name for name, schema in fields if b'"format":"uri"' in json.encode(schema))

    @cached_property
    def makes_files(self) -> bool:
        """Whether there are files in what comes out."""
        return not self.output or b'"uri"' in json.encode(self.output)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        properties: dict[str, dict[str, Any]] = self.input.get("properties", {})
        return {name: schema["default"] for name, schema in properties.items() if "default" in schema}

    @cached_property
    def _rendered(self) -> dict[str, Any]:
        return schemas.rendered(self.input, self.output)


class Model(Struct, frozen=True, dict=True, eq=False, forbid_unknown_fields=True):
    """One model file. `owner` and `name` are its folder and file name.

    `names` is what each dialect calls it. `usual_s` is how long a run usually takes, `longest_s` how long one may live
    before we give it up. `source` and `read` say where and when the schemas were read. `versions` is newest first.
    """

    kind: Kind
    description: str
    versions: Annotated[tuple[Version, ...], Meta(min_length=1)]
    usual_s: Annotated[float, Meta(gt=0)]
    longest_s: Annotated[float, Meta(gt=0)]
    source: str
    read: Date
    owner: str = ""
    name: str = ""
    official: bool = False
    names: dict[str, str] = {}
    prices: tuple[ListPrice, ...] = field(default=(), name="price")
    collections: tuple[str, ...] = ()
    example: dict[str, Any] = {}
    cover: str | None = None
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    run_count: int = 0

    @cached_property
    def path(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def latest(self) -> Version:
        return self.versions[0]

    def version(self, id: str) -> Version | None:
        return next((version for version in self.versions if version.id == id), None)
