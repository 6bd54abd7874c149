"""Where settings come from."""

from pathlib import Path

import pytest

from src.config import ConfigError, load

FILE = Path(__file__).parent.parent / "config" / "aura.toml"


def test_the_file_alone() -> None:
    """Without an environment no service is used."""
    settings = load(FILE, {})
    assert (settings.port, settings.queue_name) == (8080, "aura:tasks")
    assert settings.redis_url is None
    assert settings.database_url is None


def test_the_environment_comes_first() -> None:
    """An empty variable counts as absent."""
    settings = load(FILE, {"PORT": "9000", "HOST": "", "REDIS_URL": "redis://elsewhere"})
    assert (settings.host, settings.port) == ("0.0.0.0", 9000)
    assert settings.redis_url == "redis://elsewhere"


@pytest.mark.parametrize("port", ["eighty", "70000", "-1"])
def test_a_port_that_is_none(port: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigError, match="^port: "):
        load(FILE, {"PORT": port})
