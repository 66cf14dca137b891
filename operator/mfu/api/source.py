"""Where a model's architecture is read from: the object itself, a ConfigMap, or the built-in catalog."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache

from mfu.api.catalog import catalogued_config
from mfu.api.modelworkload import ModelSource
from mfu.errors import ConfigError, IntentError, UnknownName
from mfu.model.architecture import Architecture
from mfu.model.config import read_config

__all__ = ["ConfigMaps", "architecture_of"]

ConfigMaps = Callable[[str, str, str], str | None]
"""(namespace, name, key) → the text of a config.json, or None where there is no such ConfigMap or key."""

_MOST_CHARACTERS = 2**20  # an object of the API may have 1.5 MiB


def architecture_of(source: ModelSource, path: str, namespace: str, config_maps: ConfigMaps | None) -> Architecture:
    """The architecture that `source`, declared at the field `path`, names.

    Raises ConfigError for a config that cannot be counted, UnknownName for a name that is nowhere, IntentError where no source is given.
    """
    match source:
        case ModelSource(config=dict() as config):
            return _read(_canonical(config, f"{path}.config"), f"{path}.config")
        case ModelSource(catalog=str() as name):
            where = f"{path}.catalog"
            return _read(_canonical(catalogued_config(name, where), where), where)
        case ModelSource(config_map_ref=reference) if reference is not None:
            where = f"{path}.configMapRef"
            if config_maps is None:
                raise IntentError(where, "a ConfigMap can only be read in a cluster; give the config itself, or a model of the catalog")
            text = config_maps(namespace, reference.name, reference.key)
            if text is None:
                raise UnknownName(where, f"there is no ConfigMap {namespace}/{reference.name} with a key {reference.key}; create it")
            return _read(_canonical(_parsed(text, where), where), where)
        case _:
            raise IntentError(path, "give exactly one of config, configMapRef, catalog")


def _parsed(text: str, where: str) -> Mapping[str, object]:
    if len(text) > _MOST_CHARACTERS:
        raise ConfigError(where, f"is {len(text):,} characters long; a config.json has at most {_MOST_CHARACTERS:,}")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(where, f"is not JSON: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise ConfigError(where, "must hold a JSON object, the contents of a config.json")
    return config


def _canonical(config: Mapping[str, object], where: str) -> str:
    try:
        return json.dumps(config, sort_keys=True, default=str)
    except TypeError as error:
        # YAML has keys of other types, JSON and so the API have not.
        raise ConfigError(where, "has a key that is not a string; put it in quotes") from error


@lru_cache(maxsize=4096)
def _read(canonical: str, path: str) -> Architecture:
    """Workloads share models: an architecture is read once for each distinct config."""
    try:
        return read_config(json.loads(canonical))
    except ConfigError as error:
        raise ConfigError(f"{path}.{error.path}" if error.path else path, error.message) from error
