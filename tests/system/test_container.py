"""The container image as it is built, run by podman as docs/containers.md and deploy/kubernetes say."""
import contextlib
import copy
import os
import pathlib
import signal
import stat
import subprocess
import time

import pytest
import yaml

from mcgw_testlib import (ROOT, Capture, Process, Receiver, channel, in_peer, ip, needs, sender_to, users_of,
                          wait_member, wait_until)
from test_media import DATAGRAM, END, ends_with_marker, generate, multicast_url, transport_stream

IMAGE = "mcgw:0.1.0"
ARCHIVE = pathlib.Path(os.environ.get("MCGW_IMAGE", ROOT / "build" / "container" / "mcgw.tar"))
UID = 65532
CGROUPS = pathlib.Path("/sys/fs/cgroup")
CGROUP_PARENTS = ("mcgw-test", "libpod_parent")  # Ours, and podman's for pods.

# What docs/containers.md tells to run every container with.
CONFINED = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"]


def mount_cgroups():
    """The namespace's own /sys has none of the host's hierarchies."""
    hierarchies = [line.split(":", 2)[1] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
    named = [name for name in hierarchies if name]
    if not named:
        subprocess.run(["mount", "-t", "cgroup2", "none", CGROUPS], check=True)
        return
    subprocess.run(["mount", "-t", "tmpfs", "none", CGROUPS], check=True)
    for name in named:
        place = CGROUPS / name.removeprefix("name=")
        place.mkdir()
        options = f"none,{name}" if name.startswith("name=") else name
        subprocess.run(["mount", "-t", "cgroup", "-o", options, "none", place], check=True)


def remove_cgroups():
    """Containers remove theirs; the parents outlive the mount, and so the test."""
    for parent in CGROUP_PARENTS:
        for place in [*CGROUPS.glob(parent), *CGROUPS.glob(f"*/{parent}")]:
            for folder in [*sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True), place]:
                with contextlib.suppress(OSError):
                    folder.rmdir()


class Podman:
    """podman with a storage of its own, all in the /run of this namespace."""

    def __init__(self):
        place = "/run/podman-test"
        self.options = ["podman", "--root", f"{place}/storage", "--runroot", f"{place}/run", "--tmpdir", f"{place}/tmp"]
        self.env = {**os.environ, "CONTAINERS_CONF": str(ROOT / "tests" / "support" / "containers.conf")}

    def run(self, *arguments, deadline_s=60, check=True, **options):
        result = subprocess.run([*self.options, *map(str, arguments)], capture_output=True, text=True,
                                timeout=deadline_s, check=False, env=self.env, **options)
        assert not check or result.returncode == 0, f"podman {arguments}: {result.returncode}\n{result.stderr}"
        return result

    def start(self, *arguments, **options):
        return Process([*self.options, *arguments], env=self.env, **options)

    def pid(self, name):
        return int(self.run("inspect", "--format", "{{.State.Pid}}", name).stdout)

    def remove_all(self):
        for what in (["pod", "rm"], ["rm"], ["volume", "rm"]):
            self.run(*what, "--all", "--force", check=False)


@pytest.fixture(scope="module")
def image():
    """podman, with the image loaded."""
    needs("podman", "runc")
    if not ARCHIVE.exists():
        pytest.skip(f"no image in {ARCHIVE}: the test container_image makes it")
    mount_cgroups()
    program = Podman()
    try:
        program.run("load", "--quiet", "--input", ARCHIVE)
        yield program
    finally:
        remove_cgroups()


@pytest.fixture
def podman(image, net):
    """podman, and the gateway's host as the network namespace `gateway`."""
    del net
    ip("netns", "attach", "gateway", os.getpid())
    try:
        yield image
    finally:
        image.remove_all()
        ip("netns", "del", "gateway")


class Gateway(Process):
    """mcgwd in a container, serving in the volume `mcgw`."""

    def __init__(self, podman, *arguments):
        self.podman = podman
        super().__init__([*podman.options, "run", "--name", "mcgwd", "--cgroup-parent", "/mcgw-test", "--network",
                          "ns:/run/netns/gateway", *CONFINED, "--no-healthcheck", "--volume", "mcgw:/run/mcgw", IMAGE,
                          *arguments], env=podman.env)
        self.wait_error_line(r"\bready\b")

    @staticmethod
    def client_command(*arguments, uid=1000, groups=(UID,)):
        """A client without any network, as another user who has the socket's group."""
        return ["run", "--rm", "--interactive", "--cgroup-parent", "/mcgw-test", "--network", "none", *CONFINED,
                "--no-healthcheck", "--volume", "mcgw:/run/mcgw:ro", "--user", f"{uid}:{uid}",
                *(f"--group-add={group}" for group in groups), "--entrypoint", "mcgw", IMAGE, *map(str, arguments)]

    @contextlib.contextmanager
    def subscribe(self, *arguments, stdout=None):
        with self.podman.start(*self.client_command("sub", *arguments), stdout=stdout) as process:
            process.wait_error_line(r"(?i)\bsubscribed\b")
            yield process


@pytest.fixture
def gateway(podman):
    with Gateway(podman) as process:
        yield process


def status_of(pid):
    lines = pathlib.Path("/proc", str(pid), "status").read_text().splitlines()
    return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}


def check_confined(pid):
    """Holds that a process has no privilege at all, as the kernel sees it."""
    status = status_of(pid)
    assert status["Uid"] == [str(UID)] * 4 and status["Gid"] == [str(UID)] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind][0], 16) == 0, kind
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]  # A filter.


def test_the_gateway_runs_without_any_privilege(podman, gateway):
    check_confined(podman.pid("mcgwd"))
    for place in ("/", "/etc/mcgw", "/tmp", "/run"):
        result = podman.run("exec", "mcgwd", "touch", f"{place}/x", check=False)
        assert result.returncode != 0 and "Read-only file system" in result.stderr, place
    assert podman.run("exec", "mcgwd", "mcgw", "health").stdout == "SERVING\n"
    assert tcp_listeners(podman) == [], "nothing listens on the network"
    assert gateway.popen.poll() is None


def tcp_listeners(podman):
    """The TCP sockets that listen in the gateway's network namespace."""
    pid = podman.pid("mcgwd")
    rows = [line.split() for name in ("tcp", "tcp6")
            for line in pathlib.Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A"]


def test_the_image_holds_no_build_tools(podman):
    listed = podman.run("run", "--rm", "--cgroup-parent", "/mcgw-test", "--network", "none", "--no-healthcheck",
                        "--entrypoint", "dpkg-query", IMAGE, "--show", "--showformat", "${Package}\\n").stdout.split()
    assert "libgrpc++1.51" in listed
    assert [name for name in listed if name.endswith("-dev") or name.startswith(("g++", "cmake", "protobuf"))] == []


def test_who_lacks_the_group_is_refused(podman, gateway):
    command = gateway.client_command("health", groups=())
    result = podman.run(*command, check=False)
    assert result.returncode == 3, result.stderr
    assert podman.run(*gateway.client_command("health")).stdout == "SERVING\n"


@pytest.mark.parametrize("group", ["239.1.1.7", "ff15::7"], ids=["ipv4", "ipv6"])
def test_a_stream_reaches_a_container_without_a_network(net, gateway, tmp_path, group):
    needs("ffmpeg")
    stored = tmp_path / "mcgw.ts"
    with open(stored, "wb") as file, Receiver(group, 5006, "a0") as plain:
        with gateway.subscribe(channel(group, 5006, "a0"), "-o", "raw", stdout=file) as subscriber:
            subprocess.run(in_peer([*generate("-re"), multicast_url(net.a0, group, 5006)]), check=True, timeout=60)
            with sender_to(group, "b0") as sender:
                sender.send(group, 5006, END)
            expected = b"".join(plain.wait_payload(END))
            wait_until(lambda: ends_with_marker(stored), "the end of the stream in the file")
            subscriber.signal(signal.SIGINT)
            assert subscriber.wait() == 0, subscriber.errors()
    assert len(expected) > 100_000
    assert stored.read_bytes() == expected


@pytest.mark.parametrize("group, join", [
    ("239.1.1.8", "UDP4-RECV:5010,reuseaddr,ip-add-membership=239.1.1.8:10.0.0.2"),
    ("ff15::8", "UDP6-RECV:5010,reuseaddr,ipv6only=1,ipv6-join-group=[ff15::8]:b0"),
], ids=["ipv4", "ipv6"])
def test_a_file_published_in_a_container_arrives_at_socat(podman, gateway, transport_stream, tmp_path, group, join):
    needs("socat")
    stored = tmp_path / "socat.ts"
    with open(stored, "wb") as file:
        with Process(in_peer(["socat", "-b", "65536", "-u", join, "-"]), stdout=file) as socat:
            wait_member(group, "b0", host="peer")
            with open(transport_stream, "rb") as source:
                podman.run(*gateway.client_command("pub", channel(group, 5010, "a0"), "--file", "-", "--size", DATAGRAM,
                                                   "--rate", 1000), stdin=source)
            size = transport_stream.stat().st_size
            wait_until(lambda: stored.stat().st_size >= size, f"{size} bytes at socat")
            socat.signal(signal.SIGTERM)
            socat.wait()
    assert stored.read_bytes() == transport_stream.read_bytes()


def test_sigterm_ends_it_cleanly(podman, gateway):
    groups = ["239.1.1.9", "ff15::9"]
    with Capture("b0") as capture, gateway.subscribe(*(channel(group, 5006, "a0") for group in groups)) as subscriber:
        for group in groups:
            assert users_of(group, "a0") == 1, group
        begin = time.monotonic()
        podman.run("stop", "--time", 30, "mcgwd")  # SIGTERM, and after 30 s SIGKILL.
        assert time.monotonic() - begin < 10
        assert gateway.wait() == 0, gateway.errors()
        for group in groups:
            assert users_of(group, "a0") == 0, group
            capture.wait_record(group, "TO_IN")
        assert subscriber.wait() != 0  # It was not told to end.
    assert "stopped, every group left" in gateway.errors()


def pod_of(manifest):
    """The pods of a manifest and its ConfigMap, for `podman kube play`, which knows neither DaemonSet nor kustomize."""
    folder = ROOT / "deploy" / "kubernetes"
    document = yaml.safe_load((folder / manifest).read_text())
    if document["kind"] == "Pod":
        return yaml.safe_dump(document)
    template = copy.deepcopy(document["spec"]["template"])
    template["metadata"]["name"] = "mcgw"
    spec = template["spec"]
    spec["restartPolicy"] = "Never"  # podman 4.3 would start even the init container again.
    for container in spec["initContainers"] + spec["containers"]:
        assert container["image"] == "mcgw"
        container["image"] = IMAGE
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mcgw"},
              "data": {"mcgw.yaml": (folder / "mcgw.yaml").read_text()}}
    return yaml.safe_dump_all([config, {"apiVersion": "v1", "kind": "Pod", **template}])


def play(podman, manifest, *options):
    podman.run("kube", "play", *options, "-", input=pod_of(manifest))


def test_the_manifests_run(podman):
    """The DaemonSet's pod and the sample client, as they are: the host's directory, its owner, users and limits."""
    needs("catatonit")
    directory = pathlib.Path("/run/mcgw")
    assert not directory.exists()
    ip("route", "add", "default", "dev", "a0")  # As a node has, for the sample names no interface.
    group = "239.1.1.1"
    play(podman, "daemonset.yaml")
    wait_until(lambda: "ready" in podman.run("logs", "mcgw-mcgwd").stderr, "the gateway to be ready")
    check_confined(podman.pid("mcgw-mcgwd"))
    assert directory.stat().st_uid == UID and directory.stat().st_gid == UID
    mode = (directory / "mcgw.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, oct(mode)
    assert podman.run("exec", "mcgw-mcgwd", "mcgw", "health").stdout == "SERVING\n"

    # A pod of its own network, here one without any interface.
    play(podman, "sample/subscriber.yaml", "--network", "none")
    wait_member(group, "a0")
    with sender_to(group, "b0") as sender:
        sender.send(group, 5000, b"by way of the host path")
    wait_until(lambda: "by way of the host path" in podman.run("logs", "mcgw-subscriber-subscriber").stdout,
               "the datagram in the sample's log")

    podman.run("pod", "stop", "--time", 30, "mcgw")
    assert podman.run("inspect", "--format", "{{.State.ExitCode}}", "mcgw-mcgwd").stdout == "0\n"
    assert users_of(group, "a0") == 0
    assert not (directory / "mcgw.sock").exists()
