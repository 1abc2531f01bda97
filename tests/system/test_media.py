"""A real media stream through the gateway, both ways: not a byte more, less or elsewhere than a plain receiver gets."""
import json
import signal
import subprocess

import pytest

from mcgw_testlib import Process, Receiver, channel, in_peer, needs, peer, sender_to, wait_member, wait_until

END = b"-- end of the stream --"
TS_PACKET = 188
DATAGRAM = 7 * TS_PACKET

# (group, port, whether the channel is source-specific)
CHANNELS = [
    pytest.param("239.1.1.2", 5006, False, id="ipv4"),
    pytest.param("ff15::2", 5006, False, id="ipv6"),
    pytest.param("232.1.1.2", 5006, True, id="ipv4-source"),
    pytest.param("ff35::2", 5006, True, id="ipv6-source"),
]


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def ends_with_marker(path):
    if not path.exists() or path.stat().st_size < len(END):
        return False
    with open(path, "rb") as file:
        file.seek(-len(END), 2)
        return file.read() == END


def generate(*arguments):
    """What ffmpeg needs to make a short MPEG transport stream in real time."""
    return ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", *arguments, "-f", "lavfi", "-i",
            "testsrc=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=frequency=440", "-t", "2", "-c:v", "mpeg2video",
            "-b:v", "2M", "-c:a", "mp2", "-f", "mpegts"]


def multicast_url(link, group, port):
    # For IPv6, FFmpeg takes the outgoing interface from the route, which on the peer is the only one.
    local = "" if ":" in group else f"&localaddr={link.peer_ip4}"
    return f"udp://{bracketed(group)}:{port}?pkt_size={DATAGRAM}&ttl=4{local}"


def probe(path):
    """The kinds of streams that ffprobe finds, and how many video frames it can decode."""
    entries = "stream=codec_type,nb_read_frames"
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not result.stderr, result.stderr
    streams = json.loads(result.stdout)["streams"]
    return {stream["codec_type"]: int(stream.get("nb_read_frames", 0)) for stream in streams}


@pytest.fixture
def transport_stream(tmp_path):
    """A file of about 200 kB, a whole number of transport packets but not of datagrams."""
    needs("ffmpeg")
    path = tmp_path / "in.ts"
    subprocess.run([*generate(), str(path)], check=True, timeout=60)
    data = path.read_bytes()
    assert len(data) % TS_PACKET == 0
    if len(data) % DATAGRAM == 0:
        path.write_bytes(data[:-TS_PACKET])
    return path


@pytest.mark.parametrize("group, port, source_specific", CHANNELS)
def test_a_stream_comes_out_as_a_plain_receiver_gets_it(net, mcgw, tmp_path, group, port, source_specific):
    needs("ffmpeg")
    link = net.a0
    source = link.peer_ip(group) if source_specific else None
    stored = tmp_path / "mcgw.ts"
    with open(stored, "wb") as file, Receiver(group, port, "a0", source) as plain:
        with mcgw.subscribe(channel(group, port, "a0", source), "-o", "raw", stdout=file) as subscriber:
            subprocess.run(in_peer([*generate("-re"), multicast_url(link, group, port)]), check=True,
                           timeout=60)
            with sender_to(group, "b0", source=source) as sender:
                sender.send(group, port, END)
            expected = b"".join(plain.wait_payload(END))
            wait_until(lambda: ends_with_marker(stored), "the end of the stream in the file that mcgw writes")
            subscriber.signal(signal.SIGINT)
            assert subscriber.wait() == 0, subscriber.errors()
    assert stored.read_bytes() == expected
    assert len(expected) > 100_000
    stored.write_bytes(expected[:-len(END)])
    streams = probe(stored)
    assert streams["video"] >= 45 and streams["audio"] > 0


@pytest.mark.parametrize("group, join", [
    ("239.1.1.3", "UDP4-RECV:5008,reuseaddr,ip-add-membership=239.1.1.3:10.0.0.1"),
    ("ff15::3", "UDP6-RECV:5008,reuseaddr,ipv6only=1,ipv6-join-group=[ff15::3]:a0"),
], ids=["ipv4", "ipv6"])
def test_a_stream_comes_out_as_socat_gets_it(net, mcgw, tmp_path, group, join):
    needs("ffmpeg", "socat")
    stored, reference = tmp_path / "mcgw.ts", tmp_path / "socat.ts"
    with open(stored, "wb") as file, open(reference, "wb") as reference_file:
        with Process(["socat", "-b", "65536", "-u", join, "-"], stdout=reference_file) as socat:
            wait_member(group, "a0")
            with mcgw.subscribe(channel(group, 5008, "a0"), "-o", "raw", stdout=file) as subscriber:
                subprocess.run(in_peer([*generate("-re"), multicast_url(net.a0, group, 5008)]), check=True,
                               timeout=60)
                with sender_to(group, "b0") as sender:
                    sender.send(group, 5008, END)
                for path in (stored, reference):
                    wait_until(lambda path=path: ends_with_marker(path), f"the end of the stream in {path}")
                subscriber.signal(signal.SIGINT)
                assert subscriber.wait() == 0, subscriber.errors()
            socat.signal(signal.SIGTERM)
            socat.wait()
    assert stored.read_bytes() == reference.read_bytes()
    assert stored.stat().st_size > 100_000


@pytest.mark.parametrize("group, port, source_specific", CHANNELS)
def test_a_published_file_arrives_whole(net, mcgw, transport_stream, group, port, source_specific):
    source = net.a0.gw_ip(group) if source_specific else None
    data = transport_stream.read_bytes()
    with Receiver(group, port, "b0", source, host="peer") as plain:
        mcgw.ok("pub", channel(group, port, "a0"), "--file", transport_stream, "--size", DATAGRAM, "--rate", 2000)
        payloads = plain.wait_count(-(-len(data) // DATAGRAM))
    assert b"".join(payloads) == data
    assert [len(payload) for payload in payloads[:-1]] == [DATAGRAM] * (len(payloads) - 1)


@pytest.mark.parametrize("group, join", [
    ("239.1.1.4", "UDP4-RECV:5010,reuseaddr,ip-add-membership=239.1.1.4:10.0.0.2"),
    ("ff15::4", "UDP6-RECV:5010,reuseaddr,ipv6only=1,ipv6-join-group=[ff15::4]:b0"),
], ids=["ipv4", "ipv6"])
def test_a_published_file_arrives_at_socat(net, mcgw, transport_stream, tmp_path, group, join):
    needs("socat")
    del net
    stored = tmp_path / "socat.ts"
    with open(stored, "wb") as file:
        with Process(in_peer(["socat", "-b", "65536", "-u", join, "-"]), stdout=file) as socat:
            wait_member(group, "b0", host="peer")
            mcgw.ok("pub", channel(group, 5010, "a0"), "--file", transport_stream, "--size", DATAGRAM, "--rate", 1000)
            size = transport_stream.stat().st_size
            wait_until(lambda: stored.stat().st_size >= size, f"{size} bytes at socat")
            socat.signal(signal.SIGTERM)
            socat.wait()
    assert stored.read_bytes() == transport_stream.read_bytes()
    assert probe(stored)["video"] >= 45


def test_a_published_file_arrives_at_multicat(net, mcgw, transport_stream, tmp_path):
    needs("multicat")
    group = "239.1.1.5"
    stored = tmp_path / "multicat.ts"
    command = ["multicat", "-u", "-U", f"@{group}:5012/ifaddr={net.a0.peer_ip4}", stored]
    with Process(in_peer(command)) as multicat:
        wait_member(group, "b0", host="peer")
        mcgw.ok("pub", channel(group, 5012, "a0"), "--file", transport_stream, "--size", DATAGRAM, "--rate", 500)
        data = transport_stream.read_bytes()
        padded = -(-len(data) // DATAGRAM) * DATAGRAM  # multicat writes whole blocks, the last one padded.
        # multicat buffers its file: SIGTERM makes it write the rest, once the last datagram has been read.
        wait_until(lambda: udp_queue_is_empty(5012), "multicat to have read everything")
        multicat.signal(signal.SIGTERM)
        multicat.wait()
    assert stored.stat().st_size == padded
    assert stored.read_bytes()[:len(data)] == data


def udp_queue_is_empty(port):
    """Whether every datagram has left the receive queue of the peer's socket on the port."""
    rows = [line.split() for line in peer(["cat", "/proc/net/udp"]).splitlines()[1:]]
    queues = [row[4].split(":")[1] for row in rows if row[1].endswith(f":{port:04X}")]
    return queues and all(int(queue, 16) == 0 for queue in queues)


@pytest.mark.parametrize("source_specific", [False, True], ids=["any-source", "source"])
def test_a_published_file_plays_in_ffmpeg(net, mcgw, transport_stream, tmp_path, source_specific):
    group, stored = ("232.1.1.6" if source_specific else "239.1.1.6"), tmp_path / "ffmpeg.ts"
    sources = f"&sources={net.a0.gw_ip4}" if source_specific else ""
    # Looks at half a second of the stream before it starts, and ends when nothing has come for a second.
    url = f"udp://{group}:5014?localaddr={net.a0.peer_ip4}&timeout=1000000{sources}"
    command = ["ffmpeg", "-hide_banner", "-loglevel", "fatal", "-nostdin", "-analyzeduration", "500000", "-i", url,
               "-c", "copy", "-y", stored]
    with Process(in_peer(command)) as player:
        wait_member(group, "b0", host="peer")
        mcgw.ok("pub", channel(group, 5014, "a0"), "--file", transport_stream, "--size", DATAGRAM, "--bitrate", 2000000)
        assert player.wait() == 0, player.errors()
    assert probe(stored)["video"] >= 40
