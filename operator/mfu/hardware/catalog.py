"""The catalogue of accelerator classes: data files shipped with the package, and what a provider adds or overrides."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType

from mfu.errors import DataError, UnknownName
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.data_file import read_accelerators
from mfu.missing import Missing

__all__ = ["accelerator", "load_catalog", "nearest_names"]

_FOLDER = Path(__file__).parent.parent / "data" / "accelerators"
_NONE: Mapping[str, Accelerator] = MappingProxyType({})


@cache
def load_catalog() -> Mapping[str, Accelerator]:
    """All classes that the package knows, by name. Read once. Raises DataError for a malformed data file."""
    classes: dict[str, Accelerator] = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        for name, known in read_accelerators(path.read_text(encoding="utf-8"), path.name).items():
            if name in classes:
                raise DataError(f"{path.name}: {name}: this class is in another file too")
            classes[name] = known
    if not classes:
        raise DataError(f"no accelerator data files in {_FOLDER.name}/; the installation is incomplete")
    return MappingProxyType(classes)


def accelerator(name: str, extra: Mapping[str, Accelerator] = _NONE, path: str = "spec.accelerators.class") -> Accelerator:
    """The class `name`; `extra` (a provider's classes) goes before the catalogue. `<class>/<profile>` is a partition of a class.

    Raises UnknownName (with the field path `path` and the nearest known names) where there is none.
    """
    known = load_catalog()
    wanted = name.strip().casefold()
    found = extra.get(name) or extra.get(wanted) or known.get(wanted)
    if found is not None:
        return found
    whole, _, profile = wanted.partition("/")
    device = extra.get(whole) or known.get(whole)
    if device is None or not profile:
        raise UnknownName(path, f"accelerator class {name!r} is not known", nearest_names(name, [*extra, *known]))
    part = device.partition(profile)
    if isinstance(part, Missing):
        profiles = [item.name for item in device.partitions]
        raise UnknownName(path, part.message, tuple(f"{whole}/{item}" for item in nearest_names(profile, profiles)))
    return part


def nearest_names(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """The known names closest to `name`, best first; names of the same chip go before names that merely look alike."""
    wanted = name.casefold()
    names = sorted(set(known))
    words = [word for word in wanted.replace("_", "-").replace(" ", "-").split("-") if any(c.isdigit() for c in word)]
    same_chip = [item for item in names if any(word in item.split("-") for word in words)]
    alike = get_close_matches(wanted, names, n=limit, cutoff=0.4)
    ordered = [*get_close_matches(wanted, same_chip, n=limit, cutoff=0.0), *alike]
    return tuple(dict.fromkeys(ordered))[:limit]
