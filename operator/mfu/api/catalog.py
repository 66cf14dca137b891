"""The built-in model catalog: config.json contents of published models, one data file a model, with where each comes from."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from mfu.errors import DataError, UnknownName
from mfu.hardware.catalog import nearest_names

__all__ = ["catalogued_config", "model_names"]

_FOLDER = Path(__file__).parent.parent / "data" / "models"
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


@cache
def model_names() -> tuple[str, ...]:
    """The names of all catalogued models, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def catalogued_config(name: str, path: str = "spec.model.catalog") -> Mapping[str, object]:
    """The config of the catalogued model `name`.

    Raises UnknownName (with the field path `path` and the nearest known names) where there is none, DataError for a malformed data file.
    """
    if name not in model_names():
        raise UnknownName(path, f"model {name!r} is not in the catalog", nearest_names(name, model_names()))
    return _read(name)


@cache
def _read(name: str) -> Mapping[str, object]:
    file = _FOLDER / f"{name}.yaml"
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{file.name}: {' '.join(str(error).split())}") from error
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise DataError(f"{file.name}: config: must be a mapping with the contents of a config.json")
    return config
