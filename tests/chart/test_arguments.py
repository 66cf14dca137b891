"""The processes are started with arguments that `mfu run` takes, and they arrive as the values meant them."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.cli.run import add_arguments
from mfu.control.settings import read_levels, read_price_list

ROOT = Path(__file__).resolve().parent.parent.parent
VALUES = sorted((ROOT / "charts" / "mfu-operator" / "ci").glob("*-values.yaml"))


def containers(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = [body["spec"]["template"]["spec"]["containers"] for body in objects if body["kind"] in {"Deployment", "Job"}]
    return {container["name"]: container for (container,) in found}


def parsed(container: dict[str, Any]) -> argparse.Namespace:
    assert container["command"] == ["mfu"]
    verb, *arguments = container["args"]
    assert verb == "run"
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("values", VALUES, ids=[path.name for path in VALUES])
def test_every_process_is_started_with_arguments_that_it_takes(chart, values):
    for name, container in containers(chart.render(values)).items():
        assert parsed(container).process == name


def test_the_values_arrive_at_the_controller(chart):
    objects = chart.render(ROOT / "charts" / "mfu-operator" / "ci" / "full-values.yaml")
    controller = containers(objects)["controller"]
    arguments = parsed(controller)
    # One slash at the end would ask Prometheus for //api.
    assert arguments.prometheus_url == "https://mimir.example.com/prometheus"
    assert arguments.prometheus_header == [("X-Scope-OrgID", "gpu-cloud")]
    assert arguments.query_timeout_seconds == 20
    assert arguments.rate_window_seconds == 240
    assert arguments.tick_seconds == 60
    assert arguments.lease_seconds == 20
    assert arguments.max_hold_seconds == 1800
    assert arguments.writers == 16
    assert arguments.log_format == "plain"
    assert arguments.metrics_port == controller["ports"][0]["containerPort"]
    mounts = {mount["name"]: mount["mountPath"] for mount in controller["volumeMounts"]}
    assert str(arguments.prometheus_token_file.parent) == mounts["prometheus-token"]
    assert str(arguments.prometheus_ca_file.parent) == mounts["prometheus-ca"]
    assert str(arguments.topology_levels_file.parent) == mounts["topology"]


def test_the_topology_file_is_one_that_the_controller_reads(chart, tmp_path):
    objects = chart.render({"topology": {"levels": {"leaf": ["example.com/leaf-switch"]}}})
    (config,) = [body for body in objects if body["kind"] == "ConfigMap" and body["metadata"]["name"].endswith("-topology")]
    file = tmp_path / "topology.yaml"
    file.write_text(config["data"]["topology.yaml"])
    assert read_levels(file).leaf[0] == "example.com/leaf-switch"


def test_the_prices_file_is_one_that_the_controller_reads(chart, tmp_path):
    lines = [{"class": "h100-sxm-80gb", "tenant": "research", "contract": "reserved", "price": "2.10", "cost": "1.40"}]
    objects = chart.render({"prices": {"currency": "EUR", "contracts": {"research": "reserved"}, "lines": lines}})
    (config,) = [body for body in objects if body["kind"] == "ConfigMap" and body["metadata"]["name"].endswith("-prices")]
    controller = containers(objects)["controller"]
    (mount,) = [mount["mountPath"] for mount in controller["volumeMounts"] if mount["name"] == "prices"]
    assert str(parsed(controller).prices_file.parent) == mount
    file = tmp_path / "prices.yaml"
    file.write_text(config["data"]["prices.yaml"])
    quote = read_price_list(file).quote("h100-sxm-80gb", "research")
    assert (quote.price_micros, quote.cost_micros, quote.currency) == (2_100_000, 1_400_000, "EUR")


def test_without_prices_there_is_no_prices_file(chart):
    assert parsed(containers(chart.render())["controller"]).prices_file is None


def test_the_webhook_serves_where_its_service_and_its_probes_look(chart):
    objects = chart.render({"webhook": {"port": 10443, "metricsPort": 10081}})
    webhook = containers(objects)["webhook"]
    arguments = parsed(webhook)
    ports = {port["name"]: port["containerPort"] for port in webhook["ports"]}
    assert (arguments.port, arguments.metrics_port) == (ports["https"], ports["metrics"]) == (10443, 10081)
    mounts = {mount["name"]: mount["mountPath"] for mount in webhook["volumeMounts"]}
    assert str(arguments.certificate_file.parent) == str(arguments.key_file.parent) == mounts["tls"]
    assert webhook["livenessProbe"]["httpGet"]["port"] == "metrics"


def test_the_pods_know_their_name_and_namespace(chart):
    for container in containers(chart.render()).values():
        fields = {entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"] for entry in container["env"]}
        assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


def test_the_schema_allows_nothing_that_the_processes_refuse(chart):
    schema = yaml.safe_load((ROOT / "charts" / "mfu-operator" / "values.schema.json").read_text())["properties"]
    highest = {
        "tickSeconds": schema["controller"]["properties"]["tickSeconds"]["maximum"],
        "leaseSeconds": schema["controller"]["properties"]["leaseSeconds"]["maximum"],
        "writers": schema["controller"]["properties"]["writers"]["maximum"],
    }
    arguments = parsed(containers(chart.render({"controller": highest}))["controller"])
    assert (arguments.tick_seconds, arguments.lease_seconds, arguments.writers) == tuple(highest.values())
