"""What the two processes can be told; the flags of `mfu run` and their environment variables."""

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mfu.errors import DataError, IntentError
from mfu.judge.prices import PriceList
from mfu.judge.prices_reading import read_prices
from mfu.place.topology import Level, LevelKeys

__all__ = ["ControllerSettings", "WebhookSettings", "configure_logging", "read_levels", "read_price_list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """`prometheus_url` empty: nothing is observed, and the status of every workload says so."""

    prometheus_url: str = ""
    prometheus_token_file: Path | None = None
    prometheus_ca_file: Path | None = None
    prometheus_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query_timeout_seconds: float = 10.0
    tick_seconds: float = 30.0
    rate_window_seconds: float = 120.0
    bind_address: str = "0.0.0.0"
    metrics_port: int = 8080
    lease_name: str = "mfu-operator"
    lease_namespace: str = "default"
    identity: str = "mfu-operator"
    lease_seconds: float = 15.0
    max_hold_seconds: float = 3600.0
    writers: int = 8
    levels: LevelKeys = field(default_factory=LevelKeys)
    prices: PriceList = field(default_factory=PriceList)
    tenant_reports: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    port: int = 9443
    bind_address: str = "0.0.0.0"
    certificate_file: Path = Path("/tls/tls.crt")
    key_file: Path = Path("/tls/tls.key")
    metrics_port: int = 8081
    identity: str = "mfu-operator-webhook"


def read_levels(path: Path) -> LevelKeys:
    """The provider's topology labels: a YAML mapping of a level's name to label keys, asked before the built-in ones.

    DataError names the file and what is wrong with it.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read as YAML: {error}") from error
    known = {level.value for level in Level}
    if not isinstance(content, dict) or not all(name in known and isinstance(keys, list) for name, keys in content.items()):
        raise DataError(f"{path}: must map levels ({', '.join(sorted(known))}) to lists of node label keys")
    return LevelKeys().with_overrides({name: [str(key) for key in keys] for name, keys in content.items()})


def read_price_list(path: Path) -> PriceList:
    """The provider's prices: the `prices` section of the chart's values as a YAML file. DataError names the file and the field."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: must be a mapping with currency, contracts and lines")
    try:
        return read_prices(content)
    except IntentError as error:
        raise DataError(f"{path}: {error}") from error


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(log_format: str) -> None:
    """`json`: one object a line; `plain`: for a person. Kopf is only heard when something is wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if log_format == "json" else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Signals are ours: that Kopf in its thread does not listen to them is as it should be.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
