"""What is deployed is valid, and its parts agree with one another. Runs anywhere: no cluster, no network."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MCGW_BIN_DIR", ROOT / "build" / "bin"))
KUBERNETES = ROOT / "deploy" / "kubernetes"
RESOURCES = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
SAMPLES = sorted((KUBERNETES / "sample").glob("*.yaml"))
CONFIGURATIONS = ["deploy/kubernetes/mcgw.yaml", "deploy/systemd/mcgw.yaml", "docker/mcgw.yaml"]
OLDEST_KUBERNETES = "1.25.0"


def load(path):
    return yaml.safe_load((KUBERNETES / path).read_text())


def validate(*paths):
    """Holds files against the schemas of the oldest and the newest version; answers (exit code, what it said)."""
    program = os.environ.get("MCGW_KUBERNETES_VALIDATE", "")
    if not os.access(program, os.X_OK):
        pytest.skip("needs kubernetes-validate, which ./dev setup installs and ./dev test names")
    said, code = "", 0
    for version in (["--kubernetes-version", OLDEST_KUBERNETES], []):
        result = subprocess.run([program, "--strict", *version, *map(str, paths)], capture_output=True, text=True,
                                timeout=60, check=False)
        said += result.stdout + result.stderr
        code = code or result.returncode
    return code, said


def check_valid(*paths):
    code, said = validate(*paths)
    assert code == 0 and said.count("passed") >= 2 * len(paths), said


def test_kustomization_lists_every_manifest():
    others = {"kustomization.yaml", "mcgw.yaml"}
    assert sorted(RESOURCES) == sorted(path.name for path in KUBERNETES.glob("*.yaml") if path.name not in others)
    assert load("kustomization.yaml")["configMapGenerator"] == [{"name": "mcgw", "files": ["mcgw.yaml"]}]


def test_the_manifests_are_valid():
    check_valid(*(KUBERNETES / name for name in RESOURCES), *SAMPLES)


def test_what_kustomize_makes_is_valid(tmp_path):
    if not shutil.which("kubectl"):
        return  # No distribution package has it; the manifests themselves are checked above.
    result = subprocess.run(["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True, timeout=60,
                            check=False, env={**os.environ, "HOME": str(tmp_path)})
    assert result.returncode == 0, result.stderr
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(result.stdout)
    documents = {document["kind"]: document for document in yaml.safe_load_all(result.stdout)}
    assert sorted(documents) == ["ConfigMap", "DaemonSet", "Namespace", "ServiceAccount"]
    check_valid(rendered)
    pod = documents["DaemonSet"]["spec"]["template"]["spec"]
    image, = {container["image"] for container in pod["initContainers"] + pod["containers"]}
    assert image == SAMPLE_CONTAINER["image"], "the sample runs the image of the gateway"
    assert documents["ConfigMap"]["metadata"]["name"] in str(pod["volumes"])


def test_a_mistake_is_found(tmp_path):
    document = load("daemonset.yaml")
    document["spec"]["template"]["spec"]["hostNetwrok"] = True
    path = tmp_path / "daemonset.yaml"
    path.write_text(yaml.safe_dump(document))
    code, said = validate(path)
    assert code != 0 and "hostNetwrok" in said


@pytest.mark.parametrize("path", CONFIGURATIONS)
def test_the_gateway_takes_the_configuration(path):
    result = subprocess.run([BIN / "mcgwd", "--config", ROOT / path, "--check-config"], capture_output=True, text=True,
                            timeout=20, check=False)
    assert result.returncode == 0, result.stderr


GATEWAY_POD = load("daemonset.yaml")["spec"]["template"]["spec"]
GATEWAY_CONTAINER, = GATEWAY_POD["containers"]
INIT_CONTAINER, = GATEWAY_POD["initContainers"]
SAMPLE_POD = yaml.safe_load(SAMPLES[0].read_text())["spec"]
SAMPLE_CONTAINER, = SAMPLE_POD["containers"]
SOCKET = "unix:/run/mcgw/mcgw.sock"
GROUP = 65532


def seconds(duration):
    number, unit = re.fullmatch(r"([\d.]+)(s|m)", duration).groups()
    return float(number) * {"s": 1, "m": 60}[unit]


@pytest.mark.parametrize("pod", [GATEWAY_POD, SAMPLE_POD], ids=["gateway", "sample"])
def test_no_privilege_is_asked_for(pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod.get("initContainers", []) + pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert "limits" in container["resources"] and "requests" in container["resources"]
        assert container is INIT_CONTAINER or set(context) & {"runAsUser", "runAsNonRoot", "privileged"} == set()


def test_the_one_step_as_root_has_the_one_capability_for_it():
    context = INIT_CONTAINER["securityContext"]
    assert context["runAsUser"] == 0 and context["capabilities"]["add"] == ["CHOWN"]
    assert INIT_CONTAINER["command"] == ["chown", f"{GROUP}:{GROUP}", "/run/mcgw"]


def test_gateway_and_clients_meet_at_the_socket():
    configuration = load("mcgw.yaml")
    assert configuration["listen"] == [SOCKET], "nothing listens on the network"
    for pod, container in ((GATEWAY_POD, GATEWAY_CONTAINER), (SAMPLE_POD, SAMPLE_CONTAINER)):
        assert {"name": "MCGW_GATEWAY", "value": SOCKET} in container["env"]
        paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
        mounted = {paths[mount["name"]]: mount["mountPath"] for mount in container["volumeMounts"]
                   if mount["name"] in paths}
        assert mounted == {"/run/mcgw": "/run/mcgw"}
    assert GATEWAY_POD["securityContext"]["runAsGroup"] == GROUP
    assert SAMPLE_POD["securityContext"]["supplementalGroups"] == [GROUP]
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert f"USER {GROUP}:{GROUP}\n" in dockerfile and f"MCGW_GATEWAY={SOCKET}\n" in dockerfile
    assert yaml.safe_load((ROOT / "docker" / "mcgw.yaml").read_text())["listen"] == [SOCKET]


def test_a_gateway_on_the_host_network():
    assert GATEWAY_POD["hostNetwork"] is True
    assert GATEWAY_POD["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert "ports" not in GATEWAY_CONTAINER
    assert load("namespace.yaml")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert GATEWAY_POD["terminationGracePeriodSeconds"] > seconds(load("mcgw.yaml")["drain_grace"]) + 5
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert GATEWAY_CONTAINER[probe]["exec"]["command"] == ["mcgw", "health"]


def test_the_service_is_valid(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze, which ./dev setup installs")
    unit = (ROOT / "deploy" / "systemd" / "mcgwd.service").read_text()
    path = tmp_path / "mcgwd.service"
    path.write_text(unit.replace("/usr/bin/mcgwd", str(BIN / "mcgwd")))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=60,
                            check=False)
    assert result.returncode == 0 and not result.stderr, result.stderr
