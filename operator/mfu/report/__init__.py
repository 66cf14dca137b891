"""What a training job tells Prometheus about itself, in process (`Reporter`) or from its log (`mfu.report.logs`).

Needs the standard library and prometheus_client, and no framework: it runs in the training image. See docs/telemetry.md.
"""

from mfu.report.hugging_face import hugging_face_callback
from mfu.report.lightning import lightning_callback
from mfu.report.reporter import Reporter, Scope

__all__ = ["Reporter", "Scope", "hugging_face_callback", "lightning_callback"]
