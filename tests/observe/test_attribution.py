"""Whose series is it? Both label styles, and what must not be believed."""

from __future__ import annotations

import pytest

from mfu.observe.attribution import application_pod, device_pod
from mfu.observe.telemetry import PodKey


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        pytest.param({"namespace": "a", "pod": "p"}, ("a", "p"), id="target labels"),
        pytest.param({"namespace": "a", "pod": "p", "exported_pod": "q"}, ("a", "q"), id="another pod of the same namespace"),
        pytest.param({"namespace": "a", "pod": "p", "exported_namespace": "a", "exported_pod": "q"}, ("a", "q"), id="same namespace"),
        pytest.param({"namespace": "a", "pod": "p", "exported_namespace": "b", "exported_pod": "q"}, None, id="claims another namespace"),
        pytest.param({"namespace": "a", "pod": "p", "exported_namespace": "b"}, None, id="claims another namespace for its own pod"),
        pytest.param({"exported_namespace": "b", "exported_pod": "q"}, None, id="claims a namespace without being in one"),
        pytest.param({"namespace": "a"}, None, id="no pod"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_an_application_speaks_only_for_its_own_namespace(labels: dict[str, str], found: tuple[str, str] | None) -> None:
    assert application_pod(labels) == (found and PodKey(namespace=found[0], pod=found[1]))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        pytest.param({"namespace": "a", "pod": "p"}, ("a", "p"), id="honorLabels"),
        pytest.param(
            {"namespace": "gpu-operator", "pod": "dcgm-exporter-x", "exported_namespace": "a", "exported_pod": "p"}, ("a", "p"), id="moved"
        ),
        pytest.param({"pod_namespace": "a", "pod_name": "p", "namespace": "m", "pod": "e"}, ("a", "p"), id="labels of old releases"),
        pytest.param({"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-wqqqn"}, None, id="idle: the exporter itself"),
        pytest.param({"namespace": "kube-amd", "pod": "amd-metrics-exporter-1"}, None, id="idle: AMD's exporter itself"),
        pytest.param({"namespace": "", "pod": ""}, None, id="empty labels"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_a_device_belongs_to_the_pod_that_its_exporter_names(labels: dict[str, str], found: tuple[str, str] | None) -> None:
    assert device_pod(labels) == (found and PodKey(namespace=found[0], pod=found[1]))
