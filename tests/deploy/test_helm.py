"""The chart, rendered and linted by Helm's own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import NAME, SECRET, Manifest, check_autoscaler, check_deployment, check_security, one, read

helm = pytest.importorskip("helm_python", reason="it comes with the dependency group `deploy`: nox -s deploy")

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/orchestrator"
GIVEN: Mapping[str, Any] = {"secret": {"existing": "my-secret"}}
WHOLE: Mapping[str, Any] = {
    "image": {"repository": "registry.example.com/orchestrator", "digest": f"sha256:{'0a' * 32}"},
    "imagePullSecrets": [{"name": "registry"}],
    "secret": {"values": SECRET},
    "settings": {"ORCHESTRATOR_SHUTDOWN_GRACE": 90, "CORS_ALLOWED_ORIGINS": "https://app.example.com"},
    "autoscaling": {"enabled": True},
    "ingress": {"enabled": True, "className": "nginx", "host": "llm.example.com", "tlsSecret": "tls"},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"extraEgress": [{"ports": [{"port": 11434}]}]},
    "podAnnotations": {"example.com/team": "models"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "database": {"upgrade": True},
}


def rendered(values: Mapping[str, Any]) -> Sequence[Manifest]:
    chart = helm.Chart.load(str(CHART))
    chart.validate_schema(dict(values))
    texts = chart.render(dict(values), name="gateway", namespace="models")
    return [
        each for path, text in texts.items() if not path.endswith(".txt") for each in yaml.safe_load_all(text) if each
    ]


@pytest.mark.parametrize("values", [GIVEN, WHOLE], ids=["the least", "everything"])
def test_helm_finds_nothing_wrong(values: Mapping[str, Any]) -> None:
    found = helm.lint(str(CHART), dict(values), strict=True)
    assert found["errors"] == []
    assert [each["error"] for each in found["messages"]] == ["icon is recommended"]


def test_the_deployment_is_the_specified_one() -> None:
    made = rendered(GIVEN)
    check_deployment(one(made, "Deployment"), one(made, "ConfigMap")["data"])


def test_with_everything_it_still_is() -> None:
    made = rendered(WHOLE)
    settings = one(made, "ConfigMap")["data"]
    deployment = one(made, "Deployment")
    check_deployment(deployment, settings, replicas=None)
    check_autoscaler(one(made, "HorizontalPodAutoscaler"), settings["ORCHESTRATOR_EXPECTED_PROCESSES"])
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"registry.example.com/orchestrator@sha256:{'0a' * 32}"
    assert one(made, "Secret")["stringData"] == SECRET
    assert one(made, "Ingress")["spec"]["tls"] == [{"hosts": ["llm.example.com"], "secretName": "tls"}]
    assert one(made, "ServiceMonitor")["metadata"]["labels"]["release"] == "prometheus"
    assert {"ports": [{"port": 11434}]} in one(made, "NetworkPolicy")["spec"]["egress"]


def test_the_chart_says_what_the_manifests_say() -> None:
    plain = read(*(path for path in (ROOT / "deploy/kubernetes/base").glob("*.yaml") if path.name[0] != "k"))
    made = rendered(GIVEN)
    ours = one(plain, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    theirs = one(made, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    for part in (
        "resources",
        "ports",
        "startupProbe",
        "livenessProbe",
        "readinessProbe",
        "lifecycle",
        "securityContext",
    ):
        assert ours[part] == theirs[part], part
    for kind, parts in {
        "NetworkPolicy": ("policyTypes", "ingress", "egress"),
        "PodDisruptionBudget": ("maxUnavailable", "unhealthyPodEvictionPolicy"),
        "Service": ("ports",),
    }.items():
        for part in parts:
            assert one(plain, kind)["spec"][part] == one(made, kind)["spec"][part], (kind, part)
    scaled = one(rendered({**GIVEN, "autoscaling": {"enabled": True}}), "HorizontalPodAutoscaler")
    (autoscaler,) = read(ROOT / "deploy/kubernetes/autoscaling/horizontalpodautoscaler.yaml")
    assert scaled["spec"] == autoscaler["spec"]


def test_everything_is_about_the_same_pods() -> None:
    made = rendered(WHOLE)
    labels = one(made, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert one(made, "Service")["spec"]["selector"].items() <= labels
    assert one(made, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    assert one(made, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels
    monitor = one(made, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    assert monitor <= one(made, "Service")["metadata"]["labels"].items()
    job = one(made, "Job")["spec"]["template"]["metadata"]["labels"].items()
    assert not one(made, "Service")["spec"]["selector"].items() <= job, "no request reaches the look at the database"


@pytest.mark.parametrize(("upgrade", "does"), [(False, "current"), (True, "upgrade")])
def test_an_upgrade_looks_at_the_database_first(upgrade: bool, does: str) -> None:
    job = one(rendered({**GIVEN, "database": {"upgrade": upgrade}}), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == ["db", does]
    check_security(pod)


def test_streams_can_be_left_out_of_autoscaling() -> None:
    values = {**GIVEN, "autoscaling": {"enabled": True, "streamsInFlight": 0}}
    (metric,) = one(rendered(values), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["type"] == "Resource"


@pytest.mark.parametrize(
    ("given", "written"), [(20_000_000, "20000000"), (0.5, "0.5"), (True, "true"), ("1e6", "1e6"), (0, "0")]
)
def test_a_setting_is_written_as_it_was_given(given: Any, written: str) -> None:
    settings = one(rendered({**GIVEN, "settings": {"ORCHESTRATOR_MAX_REQUEST_BYTES": given}}), "ConfigMap")["data"]
    assert settings["ORCHESTRATOR_MAX_REQUEST_BYTES"] == written


def test_a_changed_setting_or_secret_makes_new_pods() -> None:
    def annotations(values: Mapping[str, Any]) -> Mapping[str, str]:
        found: Mapping[str, str] = one(rendered(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]
        return found

    first = annotations({"secret": {"values": SECRET}})
    for changed in (
        {"secret": {"values": SECRET}, "settings": {"LOG_LEVEL": "WARNING"}},
        {"secret": {"values": {**SECRET, "MISTRAL_API_KEY": "x"}}},
    ):
        assert annotations(changed) != first


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Name a Secret in secret.existing"),
        ({**GIVEN, "settings": {"OPENAI_API_KEY": "x"}}, "OPENAI_API_KEY"),
        ({**GIVEN, "settings": {"ORCHESTRATOR_DATABASE_URL": "x"}}, "ORCHESTRATOR_DATABASE_URL"),
        ({**GIVEN, "replica": 3}, "replica"),
        ({**GIVEN, "ingress": {"enabled": True}}, "host"),
        ({**GIVEN, "image": {"repository": "x", "digest": "latest"}}, "digest"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: Mapping[str, Any], said: str) -> None:
    with pytest.raises(helm.HelmError, match=said):
        rendered(values)


@pytest.mark.parametrize("values", [GIVEN, WHOLE], ids=["the least", "everything"])
def test_kubernetes_knows_every_field(values: Mapping[str, Any]) -> None:
    library = pytest.importorskip("kubernetes_validate", reason="it comes with the dependency group `deploy`")
    for manifest in rendered(values):
        if manifest["kind"] != "ServiceMonitor":  # which is not Kubernetes' own
            for version in ("1.30", library.latest_version()):
                library.validate(manifest, version, strict=True)


def test_all_of_it_is_called_as_specified_whatever_the_release() -> None:
    names = {each["kind"]: each["metadata"]["name"] for each in rendered(WHOLE)}
    assert {name for kind, name in names.items() if kind != "Job"} == {NAME}
