"""Settings: file and environment, read once at start, into one frozen value."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

FILE = Path("penstock.toml")
DECLARED = frozenset(("channels", "aliases", "prices", "groups", "accounts", "keys"))
"""Tables of the file that are no settings: the document's (`declared.document`)."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(BaseSettings):
    """Each can be set in `penstock.toml` or as `PENSTOCK_<NAME>`, which wins. Sizes are bytes, times seconds."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", frozen=True, extra="ignore", env_ignore_empty=True)

    data: Path = Path("data")
    database_url: str = Field("", repr=False)
    host: str = "127.0.0.1"
    port: int = 8700
    secret: str = Field("", repr=False)
    public_url: str = ""
    callback_url: str = ""
    egress_allow: Annotated[tuple[Network, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Whose `X-Forwarded-For` is believed, when a key may be used from some addresses alone."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    catalog: Path | None = None
    plugins: Annotated[tuple[str, ...], NoDecode] = ()
    """Modules with providers of the operator's own, that no entry point names."""
    log_format: str = "auto"

    max_body: int = 16 << 20
    max_file: int = 100 << 20
    max_output: int = 4 << 30
    max_logs: int = 1 << 20
    min_free_disk: int = 256 << 20

    uncertain_s: float = 900.0
    find_grace_s: float = 2.0
    longest_s: float = 1800.0
    cancel_patience_s: float = 120.0
    retention_s: float = 7 * 86400.0
    upload_retention_s: float = 86400.0
    webhook_patience_s: float = 86400.0
    webhook_timeout_s: float = 10.0
    shutdown_s: float = 10.0
    connect_timeout_s: float = 10.0
    """How long a connection to an upstream may take; less than the others: until then nothing has left."""
    upstream_timeout_s: float = 60.0
    call_timeout_s: float = 600.0
    """For the whole of an answer that is not streamed."""
    stream_timeout_s: float = 3600.0
    first_byte_timeout_s: float = 120.0
    idle_timeout_s: float = 120.0
    """How long a stream from upstream may be silent."""
    drain_s: float = 30.0
    """How long a stream is read on for its usage when its client has left, at vendors that bill it all the same."""
    beat_s: float = 15.0
    """After so much silence a client's stream gets a sign of life."""
    longest_answer: int = 16_384
    """Tokens to hold money for, where neither the client nor the model bounds an answer."""
    log_calls_s: float = 30 * 86400.0
    """How long the request log is kept."""
    log_bodies: bool = False
    log_bodies_most: int = 64 << 10
    steps_at_once: int = 512
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    faults: str = ""

    @field_validator("egress_allow", "trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        return tuple(ipaddress.ip_network(str(word), strict=False) for word in words)

    @field_validator("cors_origins", "plugins", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the command line gives comes as overrides, then the environment, then the file (see `load`)."""
        return init_settings, env_settings, _File(settings_cls)


class _File(PydanticBaseSettingsSource):
    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        try:
            found = tomllib.loads(FILE.read_text()) if FILE.is_file() else {}
        except ValueError as error:  # no TOML, or no text at all
            raise ValueError(f"{FILE}: not TOML: {error}") from None
        if unknown := set(found) - set(Settings.model_fields) - DECLARED:
            raise ValueError(f"{FILE} has settings that there are not: {', '.join(sorted(unknown))}")
        return {name: value for name, value in found.items() if name not in DECLARED}


def load(*, tls: bool = False, **overrides: Any) -> Settings:
    """Settings from `penstock.toml`, the environment, and overrides, where they are not None. Raises ValueError."""
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"settings ({FILE}, PENSTOCK_…, or options) make no sense: {wrong}") from None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    host = "127.0.0.1" if host in ("0.0.0.0", "[::]") else host  # noqa: S104  a wildcard is no address to call
    public = (settings.public_url or f"http{'s' * tls}://{host}:{settings.port}").rstrip("/")
    return settings.model_copy(update={"public_url": public})
