"""The front door: what a workload should reach on its accelerators.

Every figure of the result is made from the same terms: their seconds add up to the step, the step gives the rates, the rates give MFU.
"""

from mfu.estimate.coefficients import Calibration, default_calibration
from mfu.estimate.result import Estimate
from mfu.estimate.serving import estimate_inference
from mfu.estimate.steps import estimate_training
from mfu.estimate.workload import Inference, Training, Workload
from mfu.missing import Missing

__all__ = ["estimate"]


def estimate(workload: Workload, calibration: Calibration | None = None) -> Estimate | Missing:
    """Expected performance with bounds and a breakdown, or why there is none (a precision the accelerator does not have).

    Deterministic, about a millisecond. Raises `IntentError` where the adapter names layers that the model does not have.
    """
    known = calibration or default_calibration()
    match workload.job:
        case Training() as job:
            return estimate_training(workload, job, known)
        case Inference() as job:
            return estimate_inference(workload, job, known)
