#!/usr/bin/env python3
"""Checks Kubernetes manifests strictly against the schemas of several Kubernetes versions, and against the Pod
Security level `restricted` and some additional rules. It also checks that it would find violations.

usage: check-manifests.py FILE...       needs PyPI's kubernetes-validate
"""

import copy
import sys

from kubernetes_validate import utils as kubernetes_validate
import yaml

# Oldest version that Chart.yaml names; the newest is that of the schemas.
OLDEST = (1, 26)

# Oldest version with sidecars that are init containers.
OLDEST_WITH_SIDECARS = (1, 29)

# Not Kubernetes' own. hack/test-chart.sh validates its kinds in a cluster.
OTHERS = "monitoring.coreos.com/"

# Kinds of volumes that `restricted` permits.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def versions(oldest=OLDEST):
    known = {tuple(map(int, v.split(".")[:2])) for v in kubernetes_validate.all_versions()}
    return [f"{major}.{minor}" for major, minor in sorted(known) if (major, minor) >= oldest]


def versions_for(document):
    """The versions that a document is for."""
    if document["apiVersion"].startswith(OTHERS):
        return []
    containers = (pod_of(document) or {}).get("initContainers", [])
    return versions(OLDEST_WITH_SIDECARS if any("restartPolicy" in c for c in containers) else OLDEST)


def schema_flaws(document, version):
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        path = ".".join(str(part) for part in error.path)
        yield f"Kubernetes {version}: {path or 'it'}: {error.message[:200]}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield f"Kubernetes {version}: {error.message}"


def pod_of(document):
    spec = document.get("spec", {})
    if document["kind"] == "Pod":
        return spec
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec["template"]["spec"] if document["kind"] in ("CronJob", "Deployment") else None


def containers_of(pod):
    return pod.get("initContainers", []) + pod["containers"]


def uses_api(pod):
    variables = [variable for container in containers_of(pod) for variable in container.get("env", [])]
    locks = [variable.get("value", "") for variable in variables if variable["name"] == "ELECTOR_LOCK"]
    return any(lock.startswith("lease:") and not lock.startswith("lease://") for lock in locks)


def pod_flaws(pod):
    """Violations of Pod Security's `restricted` and of the additional rules."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield f"{name} is set"
    # Only a pod with a Lease of this cluster uses the cluster's API.
    if pod.get("automountServiceAccountToken") is not uses_api(pod):
        yield "the service account's token is mounted, or is missing"
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is of a kind that is not permitted"
        if "emptyDir" in kinds and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} may fill the node's disk"
    for container in containers_of(pod):
        for flaw in container_flaws(pod.get("securityContext", {}), container):
            yield f"container {container['name']}: {flaw}"


def container_flaws(shared, container):
    own = container.get("securityContext", {})

    def effective(name):
        return own.get(name, shared.get(name))

    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate privileges"
    if own.get("privileged"):
        yield "is privileged"
    if effective("runAsNonRoot") is not True:
        yield "may run as root"
    if effective("runAsUser") in (0, None):
        yield "runs as no user in particular, or as root"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if (effective("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "uses a port of its node"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root file system"
    limits = container.get("resources", {}).get("limits", {})
    if "memory" not in limits:
        yield "has no memory limit"
    if "cpu" in limits:
        yield "has a CPU limit, which delays the deadline"
    for variable in container.get("env", []):
        if variable["name"].removeprefix("ELECTOR_") in ("GITHUB_API_TOKEN", "LOCK_TOKEN"):
            yield "has the access token in its environment"


def change(pod, container, path, value):
    """A copy of the pod with a field set to a value, or removed (None)."""
    pod = copy.deepcopy(pod)
    target = pod["containers"][0] if container else pod
    *steps, last = path
    for step in steps:
        target = target[step]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return pod


def blind_spots(pod):
    """Violations that pod_flaws() does not notice in this valid pod."""
    wrong = [
        (False, ["hostNetwork"], True),
        (False, ["hostPID"], True),
        (False, ["automountServiceAccountToken"], None),
        (False, ["volumes"], [{"name": "x", "hostPath": {"path": "/"}}]),
        (False, ["volumes"], [{"name": "x", "emptyDir": {}}]),
        (False, ["securityContext", "seccompProfile"], {"type": "Unconfined"}),
        (False, ["securityContext", "runAsUser"], 0),
        (False, ["initContainers"], [{"name": "x"}]),
        (True, ["securityContext", "allowPrivilegeEscalation"], None),
        (True, ["securityContext", "privileged"], True),
        (True, ["securityContext", "runAsNonRoot"], False),
        (True, ["securityContext", "capabilities", "drop"], None),
        (True, ["securityContext", "capabilities", "add"], ["SYS_ADMIN"]),
        (True, ["securityContext", "readOnlyRootFilesystem"], None),
        (True, ["ports"], [{"containerPort": 80, "hostPort": 80}]),
        (True, ["resources", "limits"], {}),
        (True, ["resources", "limits", "cpu"], "1"),
        (True, ["env"], [{"name": "ELECTOR_GITHUB_API_TOKEN"}]),
        (True, ["env"], [{"name": "LOCK_TOKEN"}]),
    ]
    for container, path, value in wrong:
        if not list(pod_flaws(change(pod, container, path, value))):
            yield f"{'.'.join(path)} = {value} goes unnoticed"


def schema_blind_spots(document, version):
    misspelt = copy.deepcopy(document)
    pod_of(misspelt)["containers"][0]["readynessProbe"] = {}
    mistyped = copy.deepcopy(document)
    pod_of(mistyped)["terminationGracePeriodSeconds"] = "one"
    for name, wrong in (("a misspelt field", misspelt), ("a wrong type", mistyped)):
        if not list(schema_flaws(wrong, version)):
            yield f"Kubernetes {version}: {name} goes unnoticed"


def main(paths):
    flaws, pods = [], 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            documents = [document for document in yaml.safe_load_all(file) if document]
        if not documents:
            flaws.append(f"{path}: holds nothing")
        for document in documents:
            where = f"{path}: {document['kind']} {document['metadata']['name']}"
            found = [flaw for version in versions_for(document) for flaw in schema_flaws(document, version)]
            pod = pod_of(document)
            if pod:
                pods += 1
                found += pod_flaws(pod)
                if not found:
                    found += blind_spots(pod)
                    found += [spot for v in versions_for(document) for spot in schema_blind_spots(document, v)]
            flaws += [f"{where}: {flaw}" for flaw in found]
    if not pods:
        flaws.append("there is no pod to check")
    for flaw in flaws:
        print(flaw, file=sys.stderr)
    if not flaws:
        print(f"{len(paths)} files comply with Kubernetes {versions()[0]} to {versions()[-1]} and Pod Security `restricted`")
    return 1 if flaws else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    sys.exit(main(sys.argv[1:]))
