"""Settings: a TOML file, and the environment before it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ConfigError(ValueError):
    """A setting that cannot be used, told with its name."""


@dataclass(frozen=True)
class Settings:
    """What the service needs to know; a service without a URL is not used."""

    host: str
    port: int
    queue_name: str
    pause: float
    redis_url: str | None
    database_url: str | None


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the file at `path`; what `environ` has comes before it, empty values count as absent."""
    file: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    given = {name: value for name, value in environ.items() if value}
    return Settings(
        host=given.get("HOST", str(file["host"])),
        port=_port(given.get("PORT", file["port"])),
        queue_name=str(file["queue"]["name"]),
        pause=float(file["worker"]["pause"]),
        redis_url=given.get("REDIS_URL"),
        database_url=given.get("DATABASE_URL"),
    )


def _port(value: object) -> int:
    try:
        port = int(str(value))
    except ValueError:
        raise ConfigError(f"port: {value!r} is not a number") from None
    if not 0 <= port <= 65535:
        raise ConfigError(f"port: {port} is not between 0 and 65535")
    return port
