"""The calibration that ships with the package."""

import json
from dataclasses import fields
from importlib.resources import files

import pytest

from mfu.errors import DataError
from mfu.estimate import coefficients
from mfu.estimate.coefficients import InferenceCoefficients, TrainingCoefficients, Widths, default_calibration, keyed, load

FILES = [("training.json", TrainingCoefficients), ("inference.json", InferenceCoefficients), ("widths.json", Widths)]


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_every_coefficient_is_inside_its_bounds_and_says_what_it_means(name: str, kind: type) -> None:
    entries = json.loads((files("mfu") / "data" / "coefficients" / name).read_text(encoding="utf-8"))["coefficients"]
    assert entries.keys() == {field.name for field in fields(kind)}
    for key, entry in entries.items():
        low, high = entry["bounds"]
        values = entry["value"].values() if isinstance(entry["value"], dict) else [entry["value"]]
        assert all(low <= value <= high for value in values), key
        assert entry["meaning"] and entry["basis"], key


def test_an_unknown_key_falls_back_to_other() -> None:
    ratios = default_calibration().training.sustained_ratio
    assert keyed(ratios, "no-such-architecture") == ratios["other"]
    assert keyed(ratios, "no-such-architecture", "hopper") == ratios["hopper"]


def test_a_file_with_a_missing_coefficient_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("package") / "data" / "coefficients"
    folder.mkdir(parents=True)
    (folder / "widths.json").write_text('{"coefficients": {}}', encoding="utf-8")
    monkeypatch.setattr(coefficients, "files", lambda _: folder.parent.parent)
    with pytest.raises(DataError, match="half_widths"):
        load(Widths, "widths.json")
