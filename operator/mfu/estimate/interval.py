"""The 80 % interval around an estimate: how far measurements of this kind of workload fell from estimates that had not seen them."""

from math import exp

from mfu.estimate.coefficients import Widths, keyed
from mfu.estimate.profile import Profile
from mfu.estimate.result import Interval
from mfu.hardware.accelerator import Accelerator

__all__ = ["inference_kind", "interval", "training_kind"]

_MEASURED_ARCHITECTURES = frozenset({"volta", "ampere", "ada", "hopper", "blackwell", "blackwell-ultra", "blackwell-rtx", "cdna3", "cdna4"})
_UNMEASURED_EXTRA = 0.2
_COARSE_EXPERTS = 2048  # experts at least this wide behave like dense layers
_CEILING = 0.97


def training_kind(profile: Profile, open_choices: int) -> str:
    """Key of the half-width for a training job."""
    fine = profile.experts > 0 and _narrowest_expert(profile) <= _COARSE_EXPERTS
    family = "training-experts" if fine else "training-dense"
    open_recipe = open_choices > 0 or (profile.experts > 0 and not fine)
    return f"{family}-open" if open_recipe else family


def inference_kind(profile: Profile) -> str:
    """Key of the half-width for a serving replica."""
    if profile.latent:
        return "inference-latent"
    return "inference-experts" if profile.experts else "inference-dense"


def interval(mfu_ratio: float, kind: str, accelerator: Accelerator, widths: Widths) -> Interval:
    """Symmetric in the logarithm; wider on architectures that no measurement comes from; never above what hardware can sustain."""
    half = keyed(widths.half_widths, kind)
    if accelerator.architecture not in _MEASURED_ARCHITECTURES:
        half += _UNMEASURED_EXTRA
    return Interval(low_ratio=mfu_ratio * exp(-half), high_ratio=max(mfu_ratio, min(_CEILING, mfu_ratio * exp(half))))


def _narrowest_expert(profile: Profile) -> int:
    return min(min(op.inputs, op.outputs) for op in profile.expert_linears)
