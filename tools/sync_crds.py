"""Copies the generated CustomResourceDefinitions into the chart, which may only read files of its own folder.

`python tools/sync_crds.py` copies crds/*.yaml; with `--check` it copies nothing and exits 1 when the two folders differ.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "crds"
CHART = ROOT / "charts" / "mfu-operator" / "crd-files"


def contents(folder: Path) -> dict[str, bytes]:
    """The YAML files of a folder by name; empty when there is no such folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.yaml"))}


def differences(generated: dict[str, bytes], copied: dict[str, bytes]) -> list[str]:
    """Names of files that are missing, superfluous or different in the copy."""
    return sorted(name for name in generated.keys() | copied.keys() if generated.get(name) != copied.get(name))


def copy(generated: dict[str, bytes], folder: Path) -> None:
    """Makes the folder's YAML files exactly those given."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.yaml"):
        if path.name not in generated:
            path.unlink()
    for name, content in generated.items():
        (folder / name).write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare")
    arguments = parser.parse_args()
    generated = contents(GENERATED)
    if not generated:
        print(f"{GENERATED}: no CRDs; generate them with `mfu crds` first", file=sys.stderr)
        return 1
    if not arguments.check:
        copy(generated, CHART)
        return 0
    different = differences(generated, contents(CHART))
    for name in different:
        print(f"{CHART / name} differs from {GENERATED / name}; run `make crds`", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
