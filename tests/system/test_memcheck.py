"""The daemon under valgrind's memcheck, through a short life: no error, and at the end nothing that nobody points to."""
import signal

from mcgw_testlib import BIN, ROOT, Mcgw, Process, channel, needs, sender_to, wait_until

GROUPS = ["239.5.8.1", "ff15::5:8:1"]
SLOW_S = 120
NO_GATEWAY = 3


def patiently(mcgw, *arguments, stdin=b""):
    """Runs mcgw until it has reached the gateway, which is slow to take a connection."""
    def reached():
        result = mcgw.run(*arguments, stdin=stdin, deadline_s=SLOW_S)
        return result if result.returncode != NO_GATEWAY else None

    return wait_until(reached, "the gateway to answer", SLOW_S)


def test_a_short_life_leaks_nothing(net, binaries):
    del net, binaries
    needs("valgrind")
    with Process([ROOT / "tests/support/memcheck", BIN / "mcgwd", "--shards", "2", "--drain-grace", "2s"]) as daemon:
        daemon.wait_error_line(r"info ready|^mcgwd: ", SLOW_S)
        mcgw = Mcgw()
        joined = patiently(mcgw, "join", "10.0.0.2,10.0.0.3@232.5.8.1:5000%a0",
                           *(channel(group, 5000, "a0") for group in GROUPS))
        session = joined.stdout.split()[1]
        for arguments in ([channel(GROUPS[0], 5000, "a0"), "--session", session],
                          [channel(GROUPS[1], 5000, "a0"), "--ttl", "0"]):
            sent = patiently(mcgw, "pub", *arguments, stdin=b"x\ny\n")
            assert sent.returncode == 0, sent.stderr
        for _ in range(2):  # The second resumes what the first has retained.
            patiently(mcgw, "health")
            with mcgw.start("sub", *(channel(group, 5000, "a0") for group in GROUPS), "--resume", "-o",
                            "raw") as subscriber:
                subscriber.wait_error_line("(?i)subscribed", SLOW_S)
                for group in GROUPS:
                    with sender_to(group, "b0") as sender:
                        sender.send(group, 5000, *[b"%d\n" % n for n in range(100)])
                subscriber.wait_line("99", SLOW_S)
                subscriber.signal(signal.SIGKILL)
        for command in (["interfaces"], ["channels"], ["subscribers"], ["ledger"], ["doctor"], ["describe", GROUPS[0]],
                        ["join", "nonsense"], ["leave", "--session", session]):
            patiently(mcgw, *command)
        daemon.signal(signal.SIGTERM)
        code = daemon.wait(SLOW_S)
        assert code == 0 and "==" not in daemon.errors(), f"{code}\n{daemon.errors()}"
