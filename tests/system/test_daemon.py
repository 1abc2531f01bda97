"""The daemon at its edges: descriptors, signals, output that is not taken, configurations that turn bad while it runs."""
import contextlib
import fcntl
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess

import pytest

from mcgw_testlib import BIN, Daemon, Mcgw, channel, igmp_users, sender_to, wait_until

FAILED, BAD_INPUT, NO_GATEWAY = 1, 2, 3  # The exit codes of mcgw, as its help has them.
GROUP = "239.5.5.1"


def refuses(port):
    """Whether the port is free again."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


# ------------------------------------------------------------------------------------------------------- configuration


@pytest.fixture(params=["directory", "fifo", "missing", "device", "no-yaml", "duplicate", "large"])
def bad_file(request, tmp_path):
    """Turns a configuration file into something that is none."""
    file = tmp_path / "mcgw.yaml"
    file.write_text("log_level: info\n")

    def spoil():
        file.unlink()
        if request.param == "directory":
            file.mkdir()
        elif request.param == "fifo":
            os.mkfifo(file)
        elif request.param == "device":
            file.symlink_to("/dev/zero")
        elif request.param != "missing":
            file.write_text({"no-yaml": "[" * 100000, "duplicate": "log_level: debug\nlog_level: debug\n",
                             "large": "#" * (2 << 20)}[request.param])

    return file, spoil


def test_a_reload_of_what_is_no_configuration_is_not_taken(net, binaries, bad_file):
    del net, binaries
    file, spoil = bad_file
    with Daemon("--config", file) as daemon:
        spoil()
        daemon.signal(signal.SIGHUP)
        daemon.wait_error_line("SIGHUP: the configuration was not applied: .*mcgw.yaml")
        Mcgw(daemon.address).ok("health")


@pytest.mark.parametrize("path", ["/tmp", "/dev/zero", "/dev/stdin"])
def test_a_start_with_what_is_no_file_ends_with_a_sentence(net, binaries, path):
    del net, binaries
    result = subprocess.run([BIN / "mcgwd", "--config", path], capture_output=True, text=True, timeout=20, check=False,
                            stdin=subprocess.PIPE)
    assert result.returncode == 2
    assert path in result.stderr and "not a regular file" in result.stderr, result.stderr


@pytest.mark.parametrize("variable", ["MCGW_INTERFACES", "MCGW_LISTEN", "MCGW_CONFIG", "MCGW_DEFAULT_INTERFACE"])
def test_an_empty_variable_opens_nothing(net, binaries, variable):
    del net, binaries
    result = subprocess.run([BIN / "mcgwd"], capture_output=True, text=True, timeout=20, check=False,
                            env={**os.environ, variable: ""})
    assert result.returncode == 2
    assert variable in result.stderr and "empty" in result.stderr, result.stderr


def test_an_unknown_variable_is_warned_of(net, binaries):
    del net, binaries
    with Daemon(env={**os.environ, "MCGW_LISEN": "127.0.0.1:1"}) as daemon:
        daemon.wait_error_line("warning MCGW_LISEN: ignored, as mcgwd has no such variable")


@pytest.mark.parametrize("arguments", [["join", f"{GROUP}:5000%a0", "--session", ""], ["health", "--gateway", ""],
                                       ["interfaces", ""], ["pub", f"{GROUP}:5000%a0", "--source", ""]])
def test_an_empty_value_means_no_default_to_mcgw(net, mcgw, arguments):
    del net
    result = mcgw.run(*arguments)
    assert (result.returncode, result.stdout) == (BAD_INPUT, ""), result
    assert "an empty value" in result.stderr, result.stderr
    assert GROUP not in igmp_users("a0")


def test_an_empty_gateway_is_not_the_default_one(net, daemon):
    del net, daemon
    result = Mcgw("").run("health")
    assert result.returncode == BAD_INPUT and "MCGW_GATEWAY" in result.stderr, result.stderr


# ------------------------------------------------------------------------------------------------- descriptors, output


@pytest.mark.parametrize("level", ["trace", "warning", "error"])
def test_ready_is_said_at_every_level(net, binaries, level):
    del net, binaries
    with Daemon("--log-level", level) as daemon:  # It waits for the line.
        Mcgw(daemon.address).ok("health")


def closing(redirections, command):
    return ["sh", "-c", f'exec "$@" {redirections}', "sh", *map(str, command)]


def test_descriptors_that_the_parent_closed_are_nobody_elses(net, binaries, tmp_path):
    del net, binaries
    path = tmp_path / "s"
    daemon = subprocess.Popen(closing("<&- >&- 2>&-", [BIN / "mcgwd", "--listen", f"unix:{path}"]))
    try:
        mcgw = Mcgw(f"unix:{path}")
        wait_until(path.exists, "the socket")
        mcgw.ok("health")
        for number in range(3):
            assert os.readlink(f"/proc/{daemon.pid}/fd/{number}") == "/dev/null"
        daemon.terminate()
        assert daemon.wait(20) == 0
    finally:
        daemon.kill()


@pytest.mark.parametrize("arguments", [["--help"], ["interfaces"], ["sub", f"{GROUP}:5000%a0", "--count", "1"]])
def test_a_closed_output_is_no_connection(net, mcgw, arguments):
    """Datagrams printed to descriptor 1 must not go into the connection to the gateway."""
    del net
    process = subprocess.Popen(closing(">&-", [BIN / "mcgw", *arguments]), env=mcgw.env, stderr=subprocess.PIPE)
    try:
        if arguments[0] == "sub":
            assert b"subscribed" in process.stderr.readline()
            mcgw.ok("pub", f"{GROUP}:5000%a0", stdin=b"x\n")
        error = process.communicate(timeout=20)[1].decode()
        assert process.returncode == FAILED, error
        assert "cannot write to standard output" in error, error
    finally:
        process.kill()


@pytest.mark.parametrize("arguments", [
    ["--help"], ["--version"], ["sub", "--help"], ["health"], ["interfaces"], ["interfaces", "-o", "json"], ["channels"],
    ["subscribers"], ["ledger"], ["describe", GROUP], ["doctor"], ["doctor", "--all"], ["join", f"{GROUP}:5000%a0"]],
    ids=" ".join)
def test_a_full_disk_is_a_failure_of_mcgw(net, mcgw, arguments):
    del net
    with open("/dev/full", "wb") as full:
        result = subprocess.run([BIN / "mcgw", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30,
                                check=False, env=mcgw.env)
    assert result.returncode == FAILED, result
    assert "No space left" in result.stderr, result.stderr


@pytest.mark.parametrize("argument", ["--help", "--version", "--check-config"])
def test_a_full_disk_is_a_failure_of_mcgwd(net, binaries, argument):
    del net, binaries
    with open("/dev/full", "wb") as full:
        result = subprocess.run([BIN / "mcgwd", argument], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20,
                                check=False)
    assert result.returncode == FAILED, result
    assert "No space left" in result.stderr, result.stderr


def test_a_log_that_nobody_reads_stops_nothing(net, binaries):
    """Neither calls nor the end wait for the reader of stderr."""
    del net, binaries
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    daemon = subprocess.Popen([BIN / "mcgwd", "--log-level", "debug"], stderr=write_end)
    os.close(write_end)
    try:
        text = b""
        while b"ready" not in text:
            text += os.read(read_end, 4096)
        mcgw = Mcgw()
        groups = [channel(f"239.5.6.{n}", 5000, "a0") for n in range(1, 101)]
        for _ in range(3):  # Far more than the pipe holds.
            session = mcgw.ok("join", *groups).stdout.split()[1]
            mcgw.ok("leave", "--session", session)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
    finally:
        daemon.kill()
        os.close(read_end)
    assert not [group for group in igmp_users("a0") if group.startswith("239.5.6.")]


def fill(path):
    """Leaves no room on the file system of the path."""
    with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_log_on_a_full_disk_stops_nothing_and_says_what_is_missing(net, binaries, tmp_path):
    del net, binaries
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=True)
    try:
        log, ballast = tmp_path / "log", tmp_path / "ballast"
        with open(log, "wb") as stderr:
            daemon = subprocess.Popen([BIN / "mcgwd", "--log-level", "debug"], stderr=stderr)
        try:
            wait_until(lambda: b"ready" in log.read_bytes(), "ready")
            mcgw = Mcgw()
            fill(ballast)
            groups = [channel(f"239.5.6.{n}", 5000, "a0") for n in range(1, 101)]
            session = mcgw.ok("join", *groups).stdout.split()[1]
            mcgw.ok("leave", "--session", session)
            with mcgw.subscribe(channel(GROUP, 5000, "a0"), "--count", "1") as subscriber:
                with sender_to(GROUP, "b0") as sender:
                    sender.send(GROUP, 5000, b"x")
                assert subscriber.wait() == 0
            ballast.unlink()
            mcgw.ok("join", channel(GROUP, 5000, "a0"))
            missing = wait_until(
                lambda: re.search(rb"(?m)^\S+ warning (\d+) log lines are missing here: they could not be written: "
                                  rb"No space left on device\n\S+ ", log.read_bytes()), "the missing lines")
            assert int(missing[1]) > 100  # Held and let go, each of 100 groups, but for what still fitted.
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0
        finally:
            daemon.kill()
            daemon.wait()
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.parametrize("output", ["/dev/full", "closed", "a reader that dies"])
def test_a_log_that_cannot_be_written_stops_nothing(net, binaries, tmp_path, output):
    del net, binaries
    path = tmp_path / "s"
    command = [BIN / "mcgwd", "--log-level", "debug", "--listen", f"unix:{path}"]
    read_end, write_end = os.pipe()
    try:
        if output == "/dev/full":
            with open(output, "wb") as full:
                daemon = subprocess.Popen(command, stderr=full)
        elif output == "closed":
            daemon = subprocess.Popen(closing("2>&-", command))
        else:
            daemon = subprocess.Popen(command, stderr=write_end)
        wait_until(path.exists, "the socket")
        os.close(read_end)  # SIGPIPE for the writer, from now on.
        mcgw = Mcgw(f"unix:{path}")
        for _ in range(2):
            session = mcgw.ok("join", channel(GROUP, 5000, "a0")).stdout.split()[1]
            mcgw.ok("leave", "--session", session)
        with mcgw.subscribe(channel(GROUP, 5000, "a0"), "--count", "1") as subscriber:
            with sender_to(GROUP, "b0") as sender:
                sender.send(GROUP, 5000, b"x")
            assert subscriber.wait() == 0
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
    finally:
        daemon.kill()
        daemon.wait()
        os.close(write_end)


# --------------------------------------------------------------------------------------------------------- the way down


def test_a_drain_refuses_new_clients_at_once_and_a_second_signal_ends_it(net, binaries, tmp_path):
    del net, binaries
    path = tmp_path / "s"
    with Daemon("--drain-grace", "300s", "--listen", f"unix:{path}", listen="127.0.0.1:50051") as daemon:
        with Mcgw(daemon.address).subscribe(channel(GROUP, 5000, "a0"), "-o", "raw") as subscriber:
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: refuses(50051) and not path.exists(), "the listeners to close")
            assert Mcgw(daemon.address).run("health").returncode == NO_GATEWAY
            assert daemon.popen.poll() is None and subscriber.popen.poll() is None
            daemon.signal(signal.SIGINT)
            assert daemon.wait() == 128 + signal.SIGINT
    assert GROUP not in igmp_users("a0")


def test_a_drain_is_over_when_the_last_client_has_left(net, binaries):
    del net, binaries
    with Daemon("--drain-grace", "300s") as daemon:
        with Mcgw(daemon.address).subscribe(channel(GROUP, 5000, "a0"), "-o", "raw") as subscriber:
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: refuses(50051), "the listeners to close")
            subscriber.signal(signal.SIGINT)
            subscriber.wait()
            assert daemon.wait() == 0


def test_a_socket_of_another_program_is_not_taken(net, binaries, tmp_path):
    del net, binaries
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        result = subprocess.run([BIN / "mcgwd", "--listen", f"unix:{path}"], capture_output=True, text=True, timeout=20,
                                check=False)
        assert result.returncode == 1 and str(path) in result.stderr, result.stderr
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"still there", str(path))
        assert other.recv(100) == b"still there"


def test_only_its_own_socket_file_is_removed(net, binaries, tmp_path):
    del net, binaries
    path = pathlib.Path(tmp_path, "s")
    with Daemon(listen=f"unix:{path}") as first:
        path.unlink()
        with Daemon(listen=f"unix:{path}") as second:
            first.stop()
            assert stat.S_ISSOCK(path.stat().st_mode)
            Mcgw(second.address).ok("health")


# ------------------------------------------------------------------------------------------------------------- health


def test_names_that_clients_invent_do_not_hide_an_interface(net, mcgw):
    del net
    invented = [f"aa{n}" for n in range(150)]
    mcgw.ok("join", "--wait-for-interface", *(channel(GROUP, 5000, name) for name in invented))
    mcgw.ok("join", channel(GROUP, 5000, "lo"))
    wait_until(lambda: mcgw.run("health", "interface/lo").stdout == "SERVING\n", "the health of lo")
    known = [name for name in invented[::10] if "NOT_SERVING" in mcgw.run("health", f"interface/{name}").stdout]
    assert 0 < len(known) < 15, known
