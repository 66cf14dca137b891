"""NVIDIA Triton: recognised, so that the user is told what it cannot give.

Its server counts requests and batches (`nv_inference_count`); its TensorRT-LLM backend shows gauges of the last iteration
(`nv_trt_llm_*`, triton-inference-server/tensorrtllm_backend README). Neither counts tokens over time, so there is no MFU. Its vLLM
backend passes vLLM's counters on, and is read as vLLM.
"""

from collections.abc import Iterable

from mfu.missing import Missing, Reason
from mfu.observe.attribution import application_pod
from mfu.observe.port import Sample
from mfu.observe.promql import APPLICATION_LABELS, FIGURE, POD_LABELS, Across, Figure, Kind, expression
from mfu.observe.telemetry import PodKey

__all__ = ["NO_TOKENS", "expressions", "read"]

_SERVED = ("nv_inference_count", "nv_trt_llm_request_metrics")

_SERVES = "triton"

NO_TOKENS = Missing(
    reason=Reason.TELEMETRY_UNSUPPORTED,
    message="Triton exports no token counters; scrape the front end that counts tokens (trtllm-serve, Dynamo, Triton's vLLM backend), "
    "or set spec.telemetry.source: dcgm for the hardware figure alone",
)


def expressions(window_seconds: float) -> tuple[str, ...]:
    figure = Figure(name=_SERVES, selectors=_SERVED, kind=Kind.LAST_SCRAPE, across=Across.MAX)
    return (expression(figure, group=POD_LABELS, identity=APPLICATION_LABELS, window_seconds=window_seconds),)


def read(samples: Iterable[Sample]) -> frozenset[PodKey]:
    """The pods that run Triton; samples of other figures are passed over."""
    served = (application_pod(sample.labels) for sample in samples if sample.labels.get(FIGURE) == _SERVES)
    return frozenset(key for key in served if key is not None)
