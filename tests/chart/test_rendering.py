"""What the chart renders, for every values file of `ci/` and for the switches that matter."""

import base64
import contextlib
import datetime
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts" / "mfu-operator"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingWebhookConfiguration",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "AcceleratorClass",
    "MFUPolicy",
}
every_values_file = pytest.mark.parametrize("values", VALUES, ids=[path.name for path in VALUES])


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [body for body in objects if body["kind"] == kind]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(body for body in of_kind(objects, kind) if body["metadata"]["name"] == name)


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        body["spec"] if body["kind"] == "Pod" else body["spec"]["template"]["spec"]
        for body in objects
        if body["kind"] in {"Pod", "Deployment", "Job"}
    ]


@every_values_file
def test_helm_lint_finds_nothing(chart, values):
    assert "0 chart(s) failed" in chart.run("lint", "--strict", str(CHART), "--values", str(values), "--kube-version", "1.36.0")


@every_values_file
def test_every_object_has_one_name_a_namespace_and_the_labels_of_the_release(chart, values):
    objects = chart.render(values)
    names = Counter((body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"]) for body in objects)
    assert [name for name, count in names.items() if count > 1] == []
    for body in objects:
        if body["kind"] == "CustomResourceDefinition" or body["metadata"]["name"] == "provider-notes":
            continue
        assert body["metadata"]["labels"]["app.kubernetes.io/instance"] == "mfu-operator", body["metadata"]
        expected = None if body["kind"] in CLUSTER_SCOPED else "mfu-system"
        assert body["metadata"].get("namespace") == expected, (body["kind"], body["metadata"]["name"])


@every_values_file
def test_every_pod_runs_without_privileges_and_with_a_read_only_root(chart, values):
    specs = pod_specs(chart.render(values))
    assert len(specs) >= 2
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_schema_describes_every_value_that_the_defaults_name():
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    def unknown(node: dict[str, Any], values: dict[str, Any], path: str) -> list[str]:
        wrong = []
        for key, value in values.items():
            entry = node["properties"].get(key)
            if entry is None:
                wrong.append(f"{path}{key}: not in the schema")
            elif isinstance(value, dict) and "properties" in entry:
                wrong += unknown(entry, value, f"{path}{key}.")
        wrong += [
            f"{path}{key}: not in values.yaml"
            for key in node["properties"]
            if key not in values and path + key not in {"global"} and not path.startswith("topology.")
        ]
        return wrong

    assert unknown(schema, defaults, "") == []


def test_every_value_is_explained_by_the_comment_above_it():
    uncommented = []
    above = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        # Groups explain themselves by their members; an inline mapping is one value.
        if re.match(r" *\w+: *\S", line) and not above.lstrip().startswith("#") and not inside_an_explained_block(line):
            uncommented.append(line.strip())
        above = line
    assert uncommented == []


def inside_an_explained_block(line: str) -> bool:
    """Resources and security contexts are explained as a whole."""
    return bool(
        re.match(r" +(requests|limits|runAs\w+|fsGroup|seccompProfile|allowPrivilegeEscalation|readOnly\w+|privileged|capabilities):", line)
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"promtheus": {"url": "http://p:9090"}}, "promtheus", id="a misspelt section"),
        pytest.param({"prometheus": {"uri": "http://p:9090"}}, "uri", id="a misspelt key"),
        pytest.param({"prometheus": {"url": "p:9090"}}, "prometheus", id="a URL without a scheme"),
        pytest.param({"controller": {"replicas": "two"}}, "replicas", id="a number in words"),
        pytest.param({"webhook": {"failurePolicy": "Maybe"}}, "failurePolicy", id="an unknown failure policy"),
        pytest.param({"webhook": {"url": "http://127.0.0.1:9443"}}, "webhook", id="a webhook without TLS"),
        pytest.param({"policies": [{"name": "p"}]}, "spec", id="a policy without a spec"),
        pytest.param({"topology": {"levels": {"rack": ["x"]}}}, "rack", id="an unknown network level"),
        pytest.param({"webhook": {"url": "https://127.0.0.1:9443"}}, "webhook.caBundle", id="a URL without its CA"),
        pytest.param({"webhook": {"certificate": {"mode": "existingSecret"}}}, "existingSecret", id="no name of the existing Secret"),
        pytest.param({"webhook": {"certificate": {"existingSecret": "s"}}}, "webhook.certificate.mode", id="a Secret that no mode uses"),
        pytest.param({"controller": {"replicas": 0}}, "nobody to release", id="a gate that nobody opens"),
        pytest.param(
            {"webhook": {"replicas": 0, "failurePolicy": "Fail"}}, "refuse every ModelWorkload", id="a strict webhook that nobody serves"
        ),
        pytest.param({"webhook": {"metricsPort": 9443}}, "must differ", id="one port for two servers"),
    ],
)
def test_values_that_cannot_work_are_refused_with_the_key_to_change(chart, values, said):
    assert said in chart.refusal(values)


def test_the_charts_crds_are_the_generated_ones():
    generated = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    assert generated
    assert {path.name: path.read_text() for path in (CHART / "crd-files").glob("*.yaml")} == generated


def test_crds_are_rendered_unchanged_and_kept_at_uninstall(chart):
    generated = {
        body["metadata"]["name"]: body for body in map(yaml.safe_load, (path.read_text() for path in (ROOT / "crds").glob("*.yaml")))
    }
    rendered = of_kind(chart.render(), "CustomResourceDefinition")
    assert len(rendered) == 4
    for body in rendered:
        annotations = body["metadata"].pop("annotations")
        assert annotations.pop("helm.sh/resource-policy") == "keep"
        expected = generated[body["metadata"]["name"]]
        assert annotations == expected["metadata"].pop("annotations", {})
        assert body == expected
    unkept = of_kind(chart.render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert all("helm.sh/resource-policy" not in body["metadata"].get("annotations", {}) for body in unkept)
    assert of_kind(chart.render({"crds": {"enabled": False}}), "CustomResourceDefinition") == []


def test_a_webhook_outside_of_the_cluster_is_called_by_its_url_and_needs_no_service(chart):
    pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
    objects = chart.render({"webhook": {"url": "https://127.0.0.1:9443/", "caBundle": pem}})
    (configuration,) = of_kind(objects, "ValidatingWebhookConfiguration")
    clients = {webhook["name"]: webhook["clientConfig"] for webhook in configuration["webhooks"]}
    bundle = base64.b64encode(pem.encode()).decode()
    assert clients == {
        "modelworkloads.mfu.dev": {"url": "https://127.0.0.1:9443/validate-modelworkload", "caBundle": bundle},
        "mfupolicies.mfu.dev": {"url": "https://127.0.0.1:9443/validate-mfupolicy", "caBundle": bundle},
    }
    assert of_kind(objects, "Secret") == []
    assert "mfu-operator-webhook" not in {body["metadata"]["name"] for body in of_kind(objects, "Service")}
    as_base64 = chart.render({"webhook": {"url": "https://127.0.0.1:9443", "caBundle": bundle}})
    assert of_kind(as_base64, "ValidatingWebhookConfiguration")[0]["webhooks"][0]["clientConfig"]["caBundle"] == bundle


def test_the_webhook_sees_our_own_kinds_only_and_fails_open(chart):
    (configuration,) = of_kind(chart.render(), "ValidatingWebhookConfiguration")
    for webhook in configuration["webhooks"]:
        assert webhook["failurePolicy"] == "Ignore"
        assert webhook["timeoutSeconds"] == 5
        assert webhook["sideEffects"] == "None"
        assert [rule["apiGroups"] for rule in webhook["rules"]] == [["mfu.dev"]]
        assert all("/" not in resource for rule in webhook["rules"] for resource in rule["resources"])
        assert webhook["matchConditions"]


def test_the_self_signed_certificate_is_for_the_service_and_signed_by_the_bundle(chart):
    objects = chart.render()
    (secret,) = of_kind(objects, "Secret")
    (configuration,) = of_kind(objects, "ValidatingWebhookConfiguration")
    assert {webhook["clientConfig"]["caBundle"] for webhook in configuration["webhooks"]} == {secret["data"]["ca.crt"]}
    authority, leaf = (x509.load_pem_x509_certificate(base64.b64decode(secret["data"][name])) for name in ("ca.crt", "tls.crt"))
    leaf.verify_directly_issued_by(authority)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert "mfu-operator-webhook.mfu-system.svc" in names
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc > datetime.timedelta(days=3000)
    mounted = named(objects, "Deployment", "mfu-operator-webhook")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "tls", "secret": {"secretName": secret["metadata"]["name"]}} in mounted


def test_cert_manager_makes_the_certificate_and_injects_its_ca(chart):
    objects = chart.render(CHART / "ci" / "cert-manager-values.yaml")
    (certificate,) = of_kind(objects, "Certificate")
    (configuration,) = of_kind(objects, "ValidatingWebhookConfiguration")
    assert certificate["spec"]["issuerRef"] == {"name": "cluster-ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert configuration["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": "mfu-system/mfu-operator-webhook"}
    assert of_kind(objects, "Issuer") == []
    own = chart.render({"webhook": {"certificate": {"mode": "certManager"}}})
    assert of_kind(own, "Issuer")[0]["spec"] == {"selfSigned": {}}


def test_admission_policies_are_rendered_only_where_the_cluster_serves_them(chart):
    assert len(of_kind(chart.render(), "MutatingAdmissionPolicy")) == 2
    assert of_kind(chart.render(apis=()), "MutatingAdmissionPolicy") == []
    assert len(of_kind(chart.render({"gating": {"force": True}}, apis=()), "MutatingAdmissionPolicy")) == 2
    assert of_kind(chart.render({"gating": {"enabled": False}}), "MutatingAdmissionPolicy") == []
    jobs_only = of_kind(chart.render({"gating": {"pods": False}}), "MutatingAdmissionPolicy")
    assert [body["metadata"]["name"] for body in jobs_only] == ["mfu-operator-gate-jobs"]


def test_breaking_the_glass_is_limited_to_groups_when_groups_are_named(chart):
    def names(values: dict[str, Any]) -> set[str]:
        return {body["metadata"]["name"] for body in of_kind(chart.render(values), "ValidatingAdmissionPolicy")}

    assert "mfu-operator-break-glass" not in names({})
    assert "mfu-operator-break-glass" in names({"gating": {"breakGlass": {"groups": ["gpu-oncall"]}}})


def test_what_is_held_is_released_at_uninstall_and_when_gating_is_turned_off(chart):
    def events(values: dict[str, Any]) -> set[str]:
        objects = chart.render(values)
        hooks = [body for body in objects if body["metadata"]["name"] == "mfu-operator-release-holds"]
        assert {body["kind"] for body in hooks} == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job"}
        job = named(objects, "Job", "mfu-operator-release-holds")
        container = job["spec"]["template"]["spec"]["containers"][0]
        assert [*container["command"], *container["args"]] == ["mfu", "run", "release-holds", "--log-format=json"]
        return {body["metadata"]["annotations"]["helm.sh/hook"] for body in hooks}

    assert events({}) == {"pre-delete,post-delete"}
    assert events({"gating": {"enabled": False}}) == {"post-upgrade"}


def test_observe_only_has_no_gate_no_webhook_and_no_restraint_to_need(chart):
    kinds = {body["kind"] for body in chart.render(CHART / "ci" / "observe-only-values.yaml")}
    assert kinds & {"MutatingAdmissionPolicy", "ValidatingAdmissionPolicy", "ValidatingWebhookConfiguration"} == set()


def test_a_digest_is_used_instead_of_the_tag(chart):
    digest = "sha256:" + "a" * 64
    objects = chart.render({"image": {"repository": "registry.example.com/mfu", "tag": "9", "digest": digest}})
    images = {container["image"] for spec in pod_specs(objects) for container in spec["containers"]}
    assert images == {f"registry.example.com/mfu@{digest}"}


def test_objects_of_the_prometheus_operator_appear_where_it_is_installed(chart):
    served = ("monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule")
    assert of_kind(chart.render(), "ServiceMonitor") == []
    objects = chart.render(apis=served)
    (monitor,) = of_kind(objects, "ServiceMonitor")
    (rule,) = of_kind(objects, "PrometheusRule")
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    scraped = [
        body
        for body in of_kind(objects, "Service")
        if monitor["spec"]["selector"]["matchLabels"].items() <= body["metadata"]["labels"].items()
    ]
    assert {body["metadata"]["name"] for body in scraped} == {"mfu-operator-controller-metrics", "mfu-operator-webhook-metrics"}


def test_a_service_selects_the_pods_of_its_own_deployment(chart):
    objects = chart.render()
    for service in of_kind(objects, "Service"):
        labels = [
            body["metadata"]["name"]
            for body in of_kind(objects, "Deployment")
            if service["spec"]["selector"].items() <= body["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert len(labels) == 1, service["metadata"]["name"]


def test_objects_from_values_wait_for_their_crds_on_the_first_installation(chart):
    values = {"policies": [{"name": "floor", "spec": {"mode": "Observe"}}]}
    (first,) = of_kind(chart.render(values), "MFUPolicy")
    (later,) = of_kind(chart.render(values, apis=("mfu.dev/v1alpha1",)), "MFUPolicy")
    assert first["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    assert "annotations" not in later["metadata"]
    assert first["spec"] == later["spec"] == {"mode": "Observe"}


def test_a_long_release_name_still_gives_valid_object_names(chart):
    text = chart.run("template", "r" * 53, str(CHART), "--namespace", "mfu-system", "--set", "gating.force=true")
    for body in filter(None, yaml.safe_load_all(text)):
        assert len(body["metadata"]["name"]) <= 63


@pytest.mark.parametrize("component", ["controller", "webhook"])
def test_two_replicas_are_spread_probed_and_not_evicted_together(chart, component):
    objects = chart.render()
    deployment = named(objects, "Deployment", f"mfu-operator-{component}")
    budget = named(objects, "PodDisruptionBudget", f"mfu-operator-{component}")
    pods = deployment["spec"]["template"]
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    (spread,) = pods["spec"]["topologySpreadConstraints"]
    for selector in (budget["spec"]["selector"], spread["labelSelector"], deployment["spec"]["selector"]):
        assert selector["matchLabels"].items() <= pods["metadata"]["labels"].items()
        assert selector["matchLabels"]["app.kubernetes.io/component"] == component
    container = pods["spec"]["containers"][0]
    assert {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    alone = chart.render({component: {"replicas": 1}})
    assert f"mfu-operator-{component}" not in {body["metadata"]["name"] for body in of_kind(alone, "PodDisruptionBudget")}


def test_network_policies_let_through_what_the_processes_need_and_no_more(chart):
    objects = chart.render({"networkPolicy": {"enabled": True}, "prometheus": {"url": "http://p:9090"}})
    ports = {
        body["metadata"]["name"]: {
            direction: {entry["port"] for rule in body["spec"][direction] for entry in rule["ports"]} for direction in ("ingress", "egress")
        }
        for body in of_kind(objects, "NetworkPolicy")
    }
    assert ports == {
        "mfu-operator-controller": {"ingress": {"metrics"}, "egress": {53, 443, 6443, 9090}},
        "mfu-operator-webhook": {"ingress": {"metrics", "https"}, "egress": {53, 443, 6443}},
    }
    for body in of_kind(objects, "NetworkPolicy"):
        deployment = named(objects, "Deployment", body["metadata"]["name"])
        assert body["spec"]["podSelector"]["matchLabels"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert body["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert of_kind(chart.render(), "NetworkPolicy") == []


def test_a_cluster_that_is_too_old_is_refused(chart):
    with pytest.raises(Exception, match="requires kubeVersion"):
        chart.run("template", "mfu-operator", str(CHART), "--kube-version", "1.28.9")


def test_the_helm_test_passes_where_the_operator_is_reachable_and_its_catalogues_are_readable(chart):
    (pod,) = [body for body in chart.render() if body["kind"] == "Pod"]
    scripts = {container["name"]: container["command"][2] for container in pod["spec"]["containers"]}
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert "http://mfu-operator-controller-metrics.mfu-system.svc:8080" in scripts["metrics"]

    def run(script: str) -> int:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        return subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=60, env=environment).returncode

    assert run(scripts["estimate"]) == 0
    assert run(scripts["estimate"].replace("llama-3.1-8b", "no-such-model")) == 1
    with serve(b"mfu_operator_leader 1.0\n") as address:
        assert run(scripts["metrics"].replace("http://mfu-operator-controller-metrics.mfu-system.svc:8080", address)) == 0
    with serve(b"something_else 1.0\n") as address:
        assert run(scripts["metrics"].replace("http://mfu-operator-controller-metrics.mfu-system.svc:8080", address)) == 1


@contextlib.contextmanager
def serve(body: bytes) -> Iterator[str]:
    """An HTTP server on loopback that answers everything with these bytes."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
