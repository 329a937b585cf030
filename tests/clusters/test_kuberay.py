"""clusters/kuberay.yaml: every field is one that Kubernetes or KubeRay knows, of its own type."""

import copy
import re

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)

from tests.conftest import ROOT
from tune_cluster.cluster.capacity import Cluster, autoscaler_of
from tune_cluster.cluster.compat import HEAD

KUBERNETES = "1.34"


def of(required=(), **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def one_of(*values):
    return {"enum": list(values)}


TEXT, WHOLE, SWITCH = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
TEMPLATE = {"type": "object", "required": ["spec"]}
"""Kind of pods in Kubernetes' own schema."""

# As the Go types of KubeRay's API ray.io/v1 have them (rayjob_types.go, raycluster_types.go): the
# fields that a person may want here; for the others see there.
WORKERS = of(
    ("groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"),
    groupName=TEXT,
    replicas=WHOLE,
    minReplicas=WHOLE,
    maxReplicas=WHOLE,
    numOfHosts=WHOLE,
    idleTimeoutSeconds=WHOLE,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    template=TEMPLATE,
)
RAY_CLUSTER = of(
    ("headGroupSpec",),
    rayVersion=TEXT,
    authOptions=of(mode=one_of("disabled", "token"), secretName=TEXT),
    enableInTreeAutoscaling=SWITCH,
    autoscalerOptions=of(
        version=one_of("v1", "v2"),
        idleTimeoutSeconds=WHOLE,
        upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    ),
    headGroupSpec=of(
        ("rayStartParams", "template"),
        rayStartParams=TEXTS,
        resources=TEXTS,
        labels=TEXTS,
        serviceType=one_of("ClusterIP", "NodePort", "LoadBalancer"),
        template=TEMPLATE,
    ),
    workerGroupSpecs={"type": "array", "items": WORKERS},
)
RAY_JOB = of(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=of(("name",), name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS),
    spec=of(
        ("rayClusterSpec",),
        entrypoint=TEXT,
        runtimeEnvYAML=TEXT,
        submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode"),
        backoffLimit=WHOLE,
        activeDeadlineSeconds=WHOLE,
        ttlSecondsAfterFinished=WHOLE,
        shutdownAfterJobFinishes=SWITCH,
        suspend=SWITCH,
        rayClusterSpec=RAY_CLUSTER,
    ),
)


def check(job):
    """Raises where Kubernetes would refuse it, or KubeRay drop a part of it."""
    jsonschema.validate(job, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pods = {"apiVersion": "v1", "kind": "PodTemplate", "template": group["template"]}
        kubernetes_validate.validate(pods, KUBERNETES, strict=True)


@pytest.fixture
def job():
    return yaml.safe_load((ROOT / "clusters" / "kuberay.yaml").read_text())


def test_every_field_of_the_job_is_valid_in_the_schema(job):
    check(job)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "shutdownAfterJobFinish"), True),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "tokens"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplica"), 4),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "volume"), []),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers"), [{}]),
    ],
)
def test_the_schema_refuses_an_unknown_field_and_an_invalid_value(job, path, value):
    wrong = copy.deepcopy(job)
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(wrong)


def test_the_autoscaler_of_ray_reads_the_largest_size_from_the_job(job):
    cluster = {
        "metadata": {"name": "first-study", "namespace": "default"},
        "spec": job["spec"]["rayClusterSpec"],
    }
    config = _derive_autoscaling_config_from_ray_cr(cluster)
    assert config["available_node_types"]["headgroup"]["resources"]["CPU"] == 0
    study = Cluster(({"CPU": 0.0, HEAD: 1.0},), autoscaler_of(config))
    assert "--gpus-per-trial 0.25" in job["spec"]["entrypoint"]
    assert study.slots(1, 0.25) == 16


def test_head_and_workers_run_one_image_on_one_storage_and_every_pod_has_the_token(job):
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    assert pods[0]["volumes"] == pods[1]["volumes"]
    (mount,) = pods[0]["containers"][0]["volumeMounts"]
    (storage,) = re.findall(r"--storage-path (\S+)", job["spec"]["entrypoint"])
    assert storage.startswith(mount["mountPath"])
    assert cluster["authOptions"] == {"mode": "token"}
