"""What a workload's pods run with: image, driver and nodes, as far as the cluster says, and the declared intent."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from mfu.control.allocation import requested_devices
from mfu.control.resources import JsonObject
from mfu.judge.change import Setup, fold, intent_leaves, leaves_digest

__all__ = ["ACCEPT_ANNOTATION", "Intents", "setup_of"]

ACCEPT_ANNOTATION = "mfu.dev/accept-level"
_DRIVER_LABELS = ("nvidia.com/cuda.driver-version.full", "amd.com/gpu.driver-version")
_DRIVER_PARTS = ("nvidia.com/cuda.driver.major", "nvidia.com/cuda.driver.minor", "nvidia.com/cuda.driver.rev")

Leaves = tuple[tuple[str, str], ...]


class Intents:
    """The fields of each declared intent with their digest; read again where the object changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], Leaves, str]] = {}

    def of(self, name: str, body: JsonObject, accelerator: str) -> tuple[Leaves, str]:
        """`accelerator`: the class that it runs on, which the intent may leave open."""
        metadata = body["metadata"]
        source = (metadata.get("uid"), metadata.get("generation"), accelerator)
        known = self._known.get(name)
        if known is None or known[0] != source:
            declared = dict(intent_leaves(body.get("spec") or {})) | {"accelerators.class": accelerator}
            leaves = tuple(sorted(declared.items()))
            known = self._known[name] = (source, leaves, leaves_digest(leaves))
        return known[1], known[2]

    def forget(self, name: str) -> None:
        self._known.pop(name, None)


def setup_of(
    body: JsonObject,
    pods: Sequence[JsonObject],
    node_labels: Callable[[str], Mapping[str, str]],
    intent: tuple[Leaves, str],
    *,
    is_whole: bool,
    has_fixed_nodes: bool,
) -> Setup:
    """`pods`: those that run. `is_whole`: they hold all that the intent spans; of a part no node set is told.

    `has_fixed_nodes`: False for serving, whose replicas come and go as the requests do.
    """
    names = [str(pod["spec"]["nodeName"]) for pod in pods if pod["spec"].get("nodeName")]
    drivers = {_driver(node_labels(name)) for name in set(names)} if is_whole else set()
    leaves, digest = intent
    return Setup(
        image=_usual(image for pod in pods for image in _images(pod)),
        driver=fold(drivers),
        nodes=fold(names) if is_whole and has_fixed_nodes else "",
        spec=digest,
        accepted=str((body["metadata"].get("annotations") or {}).get(ACCEPT_ANNOTATION) or ""),
        leaves=leaves,
    )


def _images(pod: JsonObject) -> list[str]:
    """Of the containers that compute."""
    return [
        str(container["image"])
        for container in pod["spec"].get("containers") or ()
        if container.get("image") and requested_devices({"containers": [container]})
    ]


def _usual(images: Iterable[str]) -> str:
    """What most run: while images are rolled out there are two."""
    counted = Counter(images)
    return max(sorted(counted), key=lambda image: counted[image], default="")


def _driver(labels: Mapping[str, str]) -> str:
    whole = next((labels[name] for name in _DRIVER_LABELS if labels.get(name)), "")
    parts = [labels[name] for name in _DRIVER_PARTS if labels.get(name)]
    return whole or ".".join(parts)
