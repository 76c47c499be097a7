"""What manifests for Kubernetes have to be, whoever made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestrator_core.config import load
from orchestrator_core.security.startup import check
from orchestrator_core.telemetry.instruments import GAUGES
from start_configurations import CLIENT_KEY, OPENAI_KEY

Manifest = Mapping[str, Any]
NAME = "orchestrator-agent"
SECRET = {
    "ORCHESTRATOR_DATABASE_URL": "postgresql://gateway:canary-word@db.example.com/db?sslmode=verify-full",
    "ORCHESTRATOR_REDIS_URL": "rediss://gateway:canary-word@redis.example.com:6379/0",
    "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY,
    "OPENAI_API_KEY": OPENAI_KEY,
}
"""What an operator puts into the Secret."""


def read(*paths: Path) -> Sequence[Manifest]:
    """Return the manifests of files."""
    return [each for path in paths for each in yaml.safe_load_all(path.read_text()) if each]


def one(manifests: Iterable[Manifest], kind: str) -> Manifest:
    """Return the only manifest of a kind."""
    (found,) = (each for each in manifests if each["kind"] == kind)
    return found


def check_deployment(deployment: Manifest, settings: Mapping[str, str], *, replicas: int | None = 3) -> None:
    """Hold a deployment to the specification, and to what the gateway needs.

    Args:
        deployment: The manifest.
        settings: What its ConfigMap has.
        replicas: How many it asks for; None where an autoscaler says it.
    """
    assert deployment["metadata"]["name"] == NAME
    assert deployment["spec"].get("replicas") == replicas
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "500m", "memory": "1Gi"},
    }
    live, ready = container["livenessProbe"], container["readinessProbe"]
    assert live["httpGet"] == {"path": "/api/health", "port": "http"}
    assert (live["initialDelaySeconds"], live["periodSeconds"]) == (30, 10)
    assert ready["httpGet"] == {"path": "/health/ready", "port": "http"}
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]
    assert not {"command", "args"} & set(container), "the image's own entry point, and no shell"
    check_security(pod)
    check_settings(
        settings, pod["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
    )
    selected = deployment["spec"]["selector"]["matchLabels"].items()
    assert selected <= deployment["spec"]["template"]["metadata"]["labels"].items()
    for spread in pod["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"].items() == selected


def check_settings(settings: Mapping[str, str], grace: float) -> None:
    """Hold the settings of a ConfigMap, beside a Secret, to a start in production that nothing speaks against."""
    config = load({**settings, **SECRET}, Path("/nonexistent"))
    report = check(config, None)
    assert report.problems == []
    assert config.settings.production
    assert grace > config.settings.shutdown_grace + 10, "what is cancelled and sent after the grace needs some seconds"


def check_security(pod: Mapping[str, Any]) -> None:
    """Hold a pod to the profile `restricted` of Kubernetes' standards, and to a read-only file system."""
    whole = pod["securityContext"]
    assert whole["runAsNonRoot"]
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert not any("hostPath" in volume for volume in pod.get("volumes", ()))
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def check_autoscaler(autoscaler: Manifest, processes: str) -> None:
    """Hold an autoscaler to a metric that the gateway has, and to what else the processes know of their number."""
    spec = autoscaler["spec"]
    by_pods, by_processor = spec["metrics"]
    assert by_pods["pods"]["metric"]["name"] in {gauge.name for gauge in GAUGES}
    assert by_processor["resource"]["name"] == "cpu"
    assert spec["minReplicas"] == 3
    assert str(spec["maxReplicas"]) == processes
    assert (spec["maxReplicas"] + 1) * load({}).settings.database_connections < 100, "what PostgreSQL takes by default"
