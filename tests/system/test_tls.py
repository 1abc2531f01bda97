"""Listeners with TLS and of several kinds: who is let in, as whom, and what a change of certificates disturbs."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading

import pytest

from mcgw_testlib import BIN, Daemon, Mcgw, channel, sender_to, users_of, wait_until

DEV = pathlib.Path(__file__).resolve().parents[2] / "dev"
READER, WRITER = "spiffe://example/reader", "spiffe://example/writer"
GROUP = "239.4.6.1"
NOBODY = 65534
ROTATIONS = int(os.environ.get("MCGW_ROTATIONS", "3"))  # The long tests make a hundred.


def make_certificates(directory, *options):
    subprocess.run([DEV, "certs", directory, *options], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module", name="certificates")
def fixture_certificates(tmp_path_factory):
    """The directory of a CA with a server's certificate and those of two clients."""
    directory = tmp_path_factory.mktemp("tls")
    make_certificates(directory, "--client", READER, "--client", WRITER)
    return directory


def listener(address, certificates, *others):
    files = {"certificate": "server.crt", "key": "server.key", "client_ca": "ca.crt"}
    return " ".join([address, *(f"{key}={certificates / name}" for key, name in files.items()), *others])


class TlsMcgw(Mcgw):
    """The command-line client over TLS, with a client's certificate or none."""

    def __init__(self, gateway, certificates, client="client"):
        super().__init__(gateway)
        self.flags = ["--tls-ca", certificates / "ca.crt"]
        if client is not None:
            self.flags += ["--tls-cert", certificates / f"{client}.crt", "--tls-key", certificates / f"{client}.key"]

    def run(self, *arguments, **options):
        return super().run(*self.flags, *arguments, **options)

    def start(self, *arguments, **options):
        return super().start(*self.flags, *arguments, **options)


@pytest.mark.parametrize("address", ["127.0.0.1:50061", "[::1]:50061", "0.0.0.0:50061"])
def test_a_client_with_a_certificate_is_served(net, binaries, certificates, address):
    del net, binaries
    reached = address.replace("0.0.0.0", "localhost")
    with Daemon(listen=listener(address, certificates)):
        reader = TlsMcgw(reached, certificates)
        writer = TlsMcgw(reached, certificates, "client-2")
        with reader.subscribe(channel(GROUP, 5000, "a0"), "--count", "3", "-o", "raw") as subscriber:
            (stream,) = writer.json("subscribers")
            assert stream["identity"] == f"uri:{READER}"
            with sender_to(GROUP, "b0") as sender:
                sender.send(GROUP, 5000, b"1", b"2")
            writer.ok("pub", channel(GROUP, 5000, "a0"), stdin=b"3")
            assert subscriber.wait() == 0, subscriber.errors()
        assert reader.ok("health").stdout.strip() == "SERVING"


def test_who_is_refused_is_told_and_counted(binaries, certificates, tmp_path):
    del binaries
    make_certificates(tmp_path)
    with Daemon(listen=listener("127.0.0.1:50061", certificates)) as daemon:
        without = TlsMcgw("127.0.0.1:50061", certificates, None).run("health")
        assert without.returncode == 3 and "with TLS or without" in without.stderr
        daemon.wait_error_line(r"refused a TLS client of 127\.0\.0\.1:50061, ipv4:127\.0\.0\.1:\d+: it has no certificate")
        shutil.copy(certificates / "ca.crt", tmp_path / "ca.crt")  # It knows the gateway's CA; the gateway not its.
        foreign = TlsMcgw("127.0.0.1:50061", tmp_path).run("health")
        assert foreign.returncode == 3
        daemon.wait_error_line(r"its certificate CN=mcgw trial client is refused: .*certificate")
        plain = Mcgw("127.0.0.1:50061").run("health")
        assert plain.returncode == 3
        daemon.wait_error_line(r"it does not speak TLS \(\d+ refused so far\)")


def test_a_gateway_that_a_client_does_not_trust_is_named(binaries, certificates, tmp_path):
    del binaries
    make_certificates(tmp_path)
    with Daemon(listen=listener("127.0.0.1:50061", certificates)):
        foreign = TlsMcgw("127.0.0.1:50061", tmp_path).run("health")
        assert foreign.returncode == 3 and "its certificate is not of a CA that is trusted here" in foreign.stderr
        mixed = TlsMcgw("127.0.0.1:50061", certificates)
        mixed.flags[5] = certificates / "client-2.key"
        assert "check that the key belongs to the certificate" in mixed.run("health").stderr
        named = TlsMcgw("127.0.0.1:50061", certificates).run("--server-name", "other.example", "health")
        assert named.returncode == 3 and "its certificate is for other names" in named.stderr
    with Daemon(listen="127.0.0.1:50061"):
        plain = TlsMcgw("127.0.0.1:50061", certificates).run("health")
        assert plain.returncode == 3 and "no gateway answers at 127.0.0.1:50061" in plain.stderr


def test_a_session_belongs_to_its_identity(net, binaries, certificates, tmp_path):
    del net, binaries
    unix = f"unix:{tmp_path}/s"
    arguments = ["--listen", unix, "--listen", "127.0.0.1:50062 name=lab"]
    with Daemon(*arguments, listen=listener("127.0.0.1:50061", certificates)):
        owner = TlsMcgw("127.0.0.1:50061", certificates)
        others = [TlsMcgw("127.0.0.1:50061", certificates, "client-2"), Mcgw(unix), Mcgw("127.0.0.1:50062")]
        session = owner.json("join", channel(GROUP, 5000, "a0"))[0]["session_id"]
        for other in others:
            refused = other.run("leave", "--session", session)
            assert refused.returncode == 1 and "SESSION_NOT_FOUND" in refused.stderr
        assert users_of(GROUP, "a0") == 1
        owner.ok("leave", "--session", session)
        assert users_of(GROUP, "a0") == 0
        for other, identity in zip(others, [f"uri:{WRITER}", f"uid:{os.getuid()}", "listener:lab"]):
            with other.subscribe(channel(GROUP, 5000, "a0"), "-o", "raw"):
                assert other.json("subscribers")[0]["identity"] == identity


def rotate(certificates, times):
    """Changes the server's certificate and waits for each until the gateway has it."""
    for number in range(times):
        name = f"rotation-{number}.example"
        make_certificates(certificates, "--server", name)
        wait_until(lambda: presented(certificates).endswith(name), f"the gateway has the certificate of {name}")


def presented(certificates):
    """The last DNS name in the certificate that the gateway shows now."""
    command = ["openssl", "s_client", "-connect", "127.0.0.1:50061", "-alpn", "h2", "-cert", certificates / "client.crt",
               "-key", certificates / "client.key"]
    shown = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False).stdout
    text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=shown, capture_output=True,
                          timeout=20, check=False).stdout.decode()
    return text.strip().split("DNS:")[-1]


def test_a_change_of_certificates_disturbs_nobody(net, binaries, tmp_path):
    del net, binaries
    make_certificates(tmp_path)
    own = tmp_path / "own"  # The client's stay: a program reads its two files one after the other.
    own.mkdir()
    for name in ("ca.crt", "client.crt", "client.key"):
        shutil.copy(tmp_path / name, own)
    with Daemon(listen=listener("127.0.0.1:50061", tmp_path)) as daemon:
        mcgw = TlsMcgw("127.0.0.1:50061", own)
        done = threading.Event()
        failures, calls, sent = [], 0, 0

        def call():
            nonlocal calls
            while not done.is_set():
                result = mcgw.run("health")
                calls += 1
                if result.returncode != 0:
                    failures.append(result.stderr)

        def send():
            nonlocal sent
            with sender_to(GROUP, "b0") as sender:
                while not done.wait(0.002):
                    sender.send(GROUP, 5000, f"{sent}\n".encode())
                    sent += 1
                sender.send(GROUP, 5000, b"end\n")

        with mcgw.subscribe(channel(GROUP, 5000, "a0"), "-o", "raw") as subscriber:
            threads = [threading.Thread(target=work) for work in (call, send)]
            for thread in threads:
                thread.start()
            try:
                rotate(tmp_path, ROTATIONS)
            finally:
                done.set()
                for thread in threads:
                    thread.join()
            subscriber.wait_line(r"^end$")
            assert subscriber.stdout.items() == [*map(str, range(sent)), "end"]
            assert not failures and calls >= ROTATIONS
            # Bad files change nothing, and are told of.
            (tmp_path / "server.key").write_text("garbage")
            daemon.wait_error_line(r"the changed TLS files of 127\.0\.0\.1:50061 are bad, and the former stay in force")
            mcgw.ok("health")


def test_a_unix_socket_lets_in_whom_it_names(binaries, tmp_path):
    del binaries
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if str(parent).startswith("/run/pytest"):
            parent.chmod(0o755)
    named, unnamed = tmp_path / "named", tmp_path / "unnamed"
    arguments = ["--listen", f"unix:{unnamed} mode=0666 allow_uid={NOBODY + 1} allow_gid=4000000000"]
    with Daemon(*arguments, listen=f"unix:{named} mode=0666 allow_uid={NOBODY}") as daemon:
        def run(path):
            return subprocess.run([BIN / "mcgw", "--gateway", f"unix:{path}", "health"], user=NOBODY, group=NOBODY,
                                  extra_groups=[], capture_output=True, timeout=20, check=False).returncode
        assert run(named) == 0
        assert run(unnamed) == 3
        daemon.wait_error_line(rf"refused a connection of unix:pid=\d+,uid={NOBODY} to unix:{unnamed}: neither allow_uid")
        assert Mcgw(f"unix:{named}").run("health").returncode == 3, "root is not named"


@pytest.mark.parametrize("code, arguments, complaint", [
    (2, ["--listen", "0.0.0.0:50061"], "--insecure-allow-plaintext 0.0.0.0:50061"),
    (2, ["--listen", "0.0.0.0:50061 certificate=/c key=/k"], "--insecure-allow-plaintext 0.0.0.0:50061"),
    (1, ["--listen", "127.0.0.1:50061 certificate=/none key=/none"], "certificate: cannot read '/none': No such file"),
    (2, ["--check-config", "--listen", "127.0.0.1:50061 certificate=/none key=/none"], "certificate: cannot read '/none'"),
])
def test_a_bad_listener_is_refused_at_the_start(binaries, code, arguments, complaint):
    del binaries
    result = subprocess.run([BIN / "mcgwd", *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == code and complaint in result.stderr, result.stderr


def test_plaintext_off_the_loopback_is_served_where_it_is_allowed(binaries):
    del binaries
    with Daemon("--insecure-allow-plaintext", "0.0.0.0:50061", listen="0.0.0.0:50061") as daemon:
        daemon.wait_error_line(r"warning .*0\.0\.0\.0:50061 serves whoever reaches it")
        Mcgw("localhost:50061").ok("health")


def test_a_context_says_how_to_reach_a_gateway(binaries, certificates, tmp_path):
    del binaries
    config = tmp_path / "mcgw" / "config.yaml"
    config.parent.mkdir()
    shutil.copy(certificates / "ca.crt", config.parent)
    config.write_text(f"""
context: lab
contexts:
  lab: {{gateway: "localhost:50061", tls_ca: ca.crt, tls_cert: {certificates}/client.crt,
        tls_key: {certificates}/client.key}}
  other: {{gateway: "localhost:50063"}}
""")

    def run(*arguments, **variables):
        environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), **variables}
        environment.pop("MCGW_GATEWAY", None) if "MCGW_GATEWAY" not in variables else None
        return subprocess.run([BIN / "mcgw", *arguments, "health"], env=environment, capture_output=True, text=True,
                              timeout=20, check=False)

    with Daemon(listen=listener("127.0.0.1:50061", certificates)), socket.socket() as silent:
        silent.bind(("127.0.0.1", 50063))
        assert run().stdout.strip() == "SERVING"
        assert run("--context", "lab").stdout.strip() == "SERVING"
        assert run(MCGW_CONTEXT="lab").stdout.strip() == "SERVING"
        assert "localhost:50063" in run("--context", "other").stderr
        assert "127.0.0.1:50063" in run("--gateway", "127.0.0.1:50063").stderr, "it names no context, so none is used"
        assert "127.0.0.1:50063" in run(MCGW_GATEWAY="127.0.0.1:50063").stderr
        unknown = run("--context", "typo")
        assert unknown.returncode == 2 and "there is no context 'typo'; there are lab, other" in unknown.stderr
        config.write_text("contexts:\n  lab:\n    gatewai: a:1\n")
        wrong = run("--context", "lab")
        assert wrong.returncode == 2 and "config.yaml:3: a context has no key 'gatewai'" in wrong.stderr
