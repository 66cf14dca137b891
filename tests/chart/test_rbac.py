"""Exactly the rights that the processes use, and none beside."""

from typing import Any

import pytest

from mfu.control import leadership, webhook
from mfu.control.resources import resource_of

READ = {"get", "list", "watch"}
Rights = dict[str, set[str]]


def rights(objects: list[dict[str, Any]], account: str) -> Rights:
    """Verbs by `group/resource`, over every role that is bound to the ServiceAccount."""
    roles = {(body["kind"], body["metadata"]["name"]): body for body in objects if body["kind"] in {"Role", "ClusterRole"}}
    granted: Rights = {}
    for binding in (body for body in objects if body["kind"] in {"RoleBinding", "ClusterRoleBinding"}):
        if {"kind": "ServiceAccount", "name": account, "namespace": "mfu-system"} not in binding["subjects"]:
            continue
        for rule in roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    granted.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return granted


WORKLOAD_READS = {
    "mfu.dev/modelworkloads": READ,
    "mfu.dev/mfupolicies": READ,
    "mfu.dev/acceleratorclasses": READ,
    "mfu.dev/modelworkloads/status": {"patch"},
    "mfu.dev/mfupolicies/status": {"patch"},
    "mfu.dev/acceleratorclasses/status": {"patch"},
    "mfu.dev/fleetreports/status": {"patch"},
    "mfu.dev/fleetreports": READ | {"create"},
    "/nodes": READ,
    "/namespaces": READ,
    "/configmaps": {"get"},
    "/events": {"create", "patch"},
    "coordination.k8s.io/leases": {"get", "create", "update"},
}


@pytest.mark.parametrize(
    ("values", "account", "expected"),
    [
        pytest.param(
            {},
            "mfu-operator-controller",
            {**WORKLOAD_READS, "/pods": READ | {"patch"}, "batch/jobs": READ | {"patch"}},
            id="controller that gates",
        ),
        pytest.param(
            {"gating": {"enabled": False}},
            "mfu-operator-controller",
            {**WORKLOAD_READS, "/pods": READ, "batch/jobs": READ},
            id="controller that only observes",
        ),
        pytest.param(
            {"tenantReports": {"enabled": True}},
            "mfu-operator-controller",
            {**WORKLOAD_READS, "/configmaps": {"get", "create", "patch"}, "/pods": READ | {"patch"}, "batch/jobs": READ | {"patch"}},
            id="controller that writes tenant reports",
        ),
        pytest.param(
            {},
            "mfu-operator-webhook",
            {"mfu.dev/mfupolicies": READ, "mfu.dev/acceleratorclasses": READ, "/namespaces": READ, "/configmaps": {"get"}},
            id="webhook reads",
        ),
        pytest.param(
            {},
            "mfu-operator-release-holds",
            {"/pods": {"get", "list", "patch"}, "batch/jobs": {"get", "list", "patch"}},
            id="uninstall hook",
        ),
    ],
)
def test_a_process_has_exactly_these_rights(chart, values, account, expected):
    assert rights(chart.render(values), account) == expected


@pytest.mark.parametrize(
    ("account", "kinds"), [("controller", leadership.KINDS), ("webhook", webhook.KINDS)], ids=["controller", "webhook"]
)
def test_a_process_may_list_and_watch_every_kind_that_it_fills_its_store_with(chart, account, kinds):
    granted = rights(chart.render(), f"mfu-operator-{account}")
    for kind in kinds:
        resource = resource_of(kind)
        assert granted[f"{resource.group}/{resource.plural}"] >= {"list", "watch"}, kind


def test_the_lease_role_names_the_lease_of_the_arguments(chart):
    objects = chart.render({"controller": {"leaseName": "other"}})
    (role,) = [body for body in objects if body["kind"] == "Role"]
    named = [rule for rule in role["rules"] if "resourceNames" in rule]
    assert named == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["other"], "verbs": ["get", "update"]}
    ]
    (controller,) = [body for body in objects if body["kind"] == "Deployment" and body["metadata"]["name"].endswith("-controller")]
    assert "--lease-name=other" in controller["spec"]["template"]["spec"]["containers"][0]["args"]


def test_no_role_has_a_wildcard_secrets_or_a_way_to_more_rights(chart):
    dangerous = {"escalate", "bind", "impersonate", "*"}
    for body in chart.render():
        if body["kind"] not in {"Role", "ClusterRole"}:
            continue
        for rule in body["rules"]:
            assert not dangerous & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not {"secrets", "pods/exec", "serviceaccounts/token"} & set(rule["resources"])
            assert "nonResourceURLs" not in rule


def test_tenants_get_their_workloads_and_not_the_status_or_the_policies(chart):
    roles = {body["metadata"]["name"]: body for body in chart.render() if body["kind"] == "ClusterRole"}
    editor, viewer = roles["mfu-operator-editor"], roles["mfu-operator-viewer"]
    aggregated = "rbac.authorization.k8s.io/aggregate-to-"
    assert {key.removeprefix(aggregated) for key in editor["metadata"]["labels"] if key.startswith(aggregated)} == {"edit", "admin"}
    assert {key.removeprefix(aggregated) for key in viewer["metadata"]["labels"] if key.startswith(aggregated)} == {"view", "edit", "admin"}
    assert [rule["resources"] for rule in editor["rules"]] == [["modelworkloads"]]
    assert all(set(rule["verbs"]) == READ for rule in viewer["rules"])


def test_of_config_maps_only_the_tenant_report_may_be_changed(chart):
    objects = {(body["kind"], body["metadata"]["name"]): body for body in chart.render({"tenantReports": {"enabled": True}})}
    changing = [
        rule
        for (kind, _), body in objects.items()
        if kind == "ClusterRole"
        for rule in body["rules"]
        if "configmaps" in rule["resources"] and {"patch", "update", "delete"} & set(rule["verbs"])
    ]
    assert [rule.get("resourceNames") for rule in changing] == [["mfu-report"]]
    policy = objects["ValidatingAdmissionPolicy", "mfu-operator-self-restraint-maps"]["spec"]
    assert policy["matchConstraints"]["resourceRules"][0]["operations"] == ["CREATE", "UPDATE"]
    assert "system:serviceaccount:mfu-system:mfu-operator-controller" in policy["matchConditions"][0]["expression"]
    assert policy["failurePolicy"] == "Fail"
