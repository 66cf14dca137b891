"""Which pod a series belongs to."""

from collections.abc import Mapping

from mfu.observe.telemetry import PodKey

__all__ = ["application_pod", "claimed_pod", "device_pod"]

_EXPORTER_MARKS = ("dcgm-exporter", "metrics-exporter")


def application_pod(labels: Mapping[str, str]) -> PodKey | None:
    """The pod of a series that an application serves about itself.

    The namespace is the scrape target's: what the application says of its namespace (`exported_namespace`) is believed only when it is the
    same one, since a tenant could otherwise report figures for another tenant's workload. A gateway that speaks for many namespaces is
    to be scraped with honorLabels.
    """
    namespace = labels.get("namespace", "")
    claimed = labels.get("exported_namespace", "")
    if claimed and claimed != namespace:
        return None
    pod = labels.get("exported_pod") or labels.get("pod", "")
    return PodKey(namespace=namespace, pod=pod) if namespace and pod else None


def claimed_pod(labels: Mapping[str, str]) -> PodKey | None:
    """The pod of another namespace that a series claims to be of: not believed, but worth telling the workload that lacks telemetry."""
    namespace, pod = labels.get("exported_namespace", ""), labels.get("exported_pod", "")
    return PodKey(namespace=namespace, pod=pod) if namespace and pod and namespace != labels.get("namespace", "") else None


def device_pod(labels: Mapping[str, str]) -> PodKey | None:
    """The pod that holds the device of a series from a device exporter, or None for an idle or unattributed device.

    Where the exporter's own labels were moved aside (`exported_pod`) they are the answer; where it names no pod, `pod` is the exporter.
    """
    for namespace_label, pod_label in (("exported_namespace", "exported_pod"), ("pod_namespace", "pod_name"), ("namespace", "pod")):
        namespace, pod = labels.get(namespace_label, ""), labels.get(pod_label, "")
        if namespace and pod:
            return None if any(mark in pod for mark in _EXPORTER_MARKS) else PodKey(namespace=namespace, pod=pod)
    return None
