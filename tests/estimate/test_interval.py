"""The 80 % interval."""

from collections.abc import Callable

import pytest

from mfu.estimate.coefficients import default_calibration
from mfu.estimate.interval import inference_kind, interval, training_kind
from mfu.estimate.profile import profile_of
from mfu.hardware.catalog import accelerator
from mfu.model.architecture import Architecture

Architectures = Callable[[str], Architecture]
WIDTHS = default_calibration().widths


@pytest.mark.parametrize(
    ("model", "open_choices", "kind"),
    [
        ("llama-70b", 0, "training-dense"),
        ("llama-70b", 2, "training-dense-open"),
        ("mixtral", 0, "training-dense-open"),
        ("deepseek-v3", 0, "training-experts"),
        ("deepseek-v3", 1, "training-experts-open"),
    ],
)
def test_training_kinds_follow_experts_and_what_was_left_open(
    architecture: Architectures, model: str, open_choices: int, kind: str
) -> None:
    assert training_kind(profile_of(architecture(model)), open_choices) == kind


@pytest.mark.parametrize(
    ("model", "kind"), [("llama-8b", "inference-dense"), ("mixtral", "inference-experts"), ("deepseek-v3", "inference-latent")]
)
def test_serving_kinds_follow_the_architecture(architecture: Architectures, model: str, kind: str) -> None:
    assert inference_kind(profile_of(architecture(model))) == kind


def test_an_architecture_without_measurements_gets_a_wider_interval() -> None:
    measured = interval(0.4, "training-dense", accelerator("h100-sxm-80gb"), WIDTHS)
    unmeasured = interval(0.4, "training-dense", accelerator("tpu-v5p-95gb"), WIDTHS)
    assert unmeasured.high_ratio - unmeasured.low_ratio > 2 * (measured.high_ratio - measured.low_ratio)


def test_an_interval_never_promises_more_than_hardware_sustains() -> None:
    assert interval(0.95, "inference-latent", accelerator("h100-sxm-80gb"), WIDTHS).high_ratio <= 0.97
