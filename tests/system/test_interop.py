"""gRPC's own interoperability client, with all of its cases that need nothing but a test service, through the front door
to a service of gRPC's behind it."""
import os
import subprocess

import pytest

from mcgw_testlib import BIN, Process
from test_tls import listener, make_certificates

CLIENT = BIN.parent / "interop" / "client"
CASES = ["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
         "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
         "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service", "rpc_soak",
         "channel_soak"]
PLAIN, SECURE = 50071, 50072


@pytest.fixture(scope="module", name="certificates")
def fixture_certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("interop")
    make_certificates(directory)
    return directory


@pytest.fixture(scope="module", name="server", autouse=True)
def fixture_server(certificates):
    arguments = ["--listen", f"127.0.0.1:{PLAIN}", "--listen",
                 listener(f"127.0.0.1:{SECURE}", certificates, "client_certificates=requested")]
    with Process([BIN / "mcgw-interop", *arguments]) as server:
        server.wait_error_line(r"^ready")
        yield server


def run(certificates, case, secure):
    flags = ["--server_host", "localhost", "--server_port", str(SECURE if secure else PLAIN), "--test_case", case]
    if secure:
        flags += ["--use_tls", "--use_test_ca", "--ca_file", str(certificates / "ca.crt")]
    if case.endswith("_soak"):
        flags += ["--soak_iterations", "100", "--soak_overall_timeout_seconds", "60"]
    return subprocess.run([CLIENT, *flags], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "GODEBUG": ""})


@pytest.mark.parametrize("secure", [False, True], ids=["plaintext", "tls"])
@pytest.mark.parametrize("case", CASES)
def test_interoperability(certificates, case, secure):
    result = run(certificates, case, secure)
    assert result.returncode == 0, result.stderr


def test_an_unknown_case_fails(certificates):
    """So that a case which is renamed does not pass unseen."""
    assert run(certificates, "no_such_case", False).returncode != 0
