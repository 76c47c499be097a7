"""The manifests for Kubernetes: as they stand, and put together by kustomize where kubectl is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from manifests import SECRET, Manifest, check_autoscaler, check_deployment, check_security, check_settings, one, read
from orchestrator_core.config import ConfigError
from orchestrator_core.telemetry.instruments import GAUGES

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
KUBECTL = shutil.which("kubectl")
BASE = read(*(path for path in FOLDER.glob("base/*.yaml") if path.name != "kustomization.yaml"))
TRIAL = read(FOLDER / "trial/postgres.yaml", FOLDER / "trial/redis.yaml")
UPGRADE = read(FOLDER / "upgrade-database.yaml")
FILES = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.name not in {"kustomization.yaml", "adapter.yaml"}]
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


def env_file(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def kustomize(folder: Path) -> list[Manifest]:
    done = subprocess.run([str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_the_deployment_is_the_specified_one() -> None:
    check_deployment(one(BASE, "Deployment"), env_file(FOLDER / "base/settings.env"))


def test_everything_is_about_the_same_pods() -> None:
    labels = one(BASE, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert one(BASE, "Service")["spec"]["selector"].items() <= labels
    assert one(BASE, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    assert one(BASE, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels
    monitor = one(read(FOLDER / "monitoring/servicemonitor.yaml"), "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= one(BASE, "Service")["metadata"]["labels"].items()


def test_as_many_processes_are_expected_as_there_are_replicas() -> None:
    replicas = one(BASE, "Deployment")["spec"]["replicas"]
    assert env_file(FOLDER / "base/settings.env")["ORCHESTRATOR_EXPECTED_PROCESSES"] == str(replicas)


def test_the_autoscaler_asks_for_what_the_adapter_answers_for() -> None:
    (component,) = read(FOLDER / "autoscaling/kustomization.yaml")
    (literal,) = component["configMapGenerator"][0]["literals"]
    autoscaler = one(read(FOLDER / "autoscaling/horizontalpodautoscaler.yaml"), "HorizontalPodAutoscaler")
    check_autoscaler(autoscaler, literal.partition("=")[2])
    adapter = yaml.safe_load((FOLDER / "monitoring/adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["seriesQuery"].partition("{")[0] == autoscaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert rule["seriesQuery"].partition("{")[0] in {gauge.name for gauge in GAUGES}


def test_what_is_tried_beside_databases_can_do_no_more_than_it_needs() -> None:
    for manifest in [*TRIAL, *UPGRADE]:
        if manifest["kind"] != "Service":
            check_security(manifest["spec"]["template"]["spec"])
    for manifest in TRIAL:
        if manifest["kind"] != "Service":
            (container,) = manifest["spec"]["template"]["spec"]["containers"]
            assert re.fullmatch(r"[a-z]+:\d+(\.\d+)+(-[a-z]+)?", container["image"]), "an exact version"


def test_the_upgrade_is_the_command_of_the_gateway() -> None:
    (container,) = one(UPGRADE, "Job")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["db", "upgrade"]


@pytest.mark.parametrize("name", ["secret.env.example", "trial/secret.env.example"])
def test_the_examples_of_secrets_are_settings(name: str) -> None:
    names = env_file(FOLDER / name)
    assert set(SECRET) <= set(names)
    assert set(names) - set(SECRET) <= {"POSTGRES_PASSWORD", "MISTRAL_API_KEY"}


@needs_kubectl
def test_kustomize_puts_the_base_together() -> None:
    made = kustomize(FOLDER / "base")
    deployment, settings = one(made, "Deployment"), one(made, "ConfigMap")
    check_deployment(deployment, settings["data"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"][0]["configMapRef"]["name"] == settings["metadata"]["name"]
    (upgrade,) = one(UPGRADE, "Job")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == upgrade["image"]


@needs_kubectl
def test_kustomize_puts_the_trial_together(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    trial = tmp_path / "kubernetes/trial"
    shutil.copy(trial / "secret.env.example", trial / "secret.env")
    made = kustomize(trial)
    ours = [each for each in made if each["metadata"]["name"].startswith("orchestrator-agent")]
    check_deployment(one(ours, "Deployment"), one(ours, "ConfigMap")["data"])
    assert {each["metadata"].get("namespace") for each in made} == {"orchestrator"}
    assert len(made) == len(ours) + len(TRIAL)


@needs_kubectl
def test_kustomize_adds_the_components(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    own = tmp_path / "kubernetes/own"
    own.mkdir()
    (own / "kustomization.yaml").write_text("resources: [../base]\ncomponents: [../autoscaling, ../monitoring]\n")
    made = kustomize(own)
    check_deployment(one(made, "Deployment"), one(made, "ConfigMap")["data"], replicas=None)
    check_autoscaler(
        one(made, "HorizontalPodAutoscaler"), one(made, "ConfigMap")["data"]["ORCHESTRATOR_EXPECTED_PROCESSES"]
    )
    assert one(made, "ServiceMonitor")


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(FOLDER)) for path in FILES])
def test_kubernetes_knows_every_field(path: Path) -> None:
    library = pytest.importorskip("kubernetes_validate", reason="it comes with the dependency group `deploy`")
    for manifest in read(path):
        if manifest["kind"] != "ServiceMonitor":  # which is not Kubernetes' own
            for version in ("1.30", library.latest_version()):
                library.validate(manifest, version, strict=True)


def test_the_check_of_settings_would_find_a_mistake() -> None:
    with pytest.raises(ConfigError, match="ORCHESTRATOR_EXPECTED_PROCESES"):
        check_settings({"ENVIRONMENT": "production", "ORCHESTRATOR_EXPECTED_PROCESES": "3"}, 60)
