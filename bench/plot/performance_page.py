"""The measured part of docs/performance.md, and its plots, from the JSON of mcgw-bench."""
import re

from svg_plot import Line, Plot

BEGIN = "<!-- begin: written by ./dev bench --docs -->"
END = "<!-- end -->"

# What the page shows of each case: its heading, and the columns as (metric, label).
CPU, P50, P99 = ("cpu_ns_per_delivery", "CPU ns/delivery"), ("p50_us", "p50 us"), ("p99_us", "p99 us")
CALLS = [("cpu_us_per_call", "CPU us/call"), P50, P99, ("calls_per_second", "calls/s")]
CASES = {
    "replay": ("Saturated: a replayed log", [CPU, ("deliveries_per_second", "deliveries/s")]),
    "saturated": ("Saturated: end to end", [CPU, ("deliveries_per_second", "deliveries/s")]),
    "live": ("Live", [CPU, P50, P99]),
    "latency": (
        "Latency over the rate",
        [CPU, P50, ("p90_us", "p90 us"), P99, ("p999_us", "p99.9 us"), ("kernel_p50_us", "kernel p50"),
         ("kernel_p99_us", "kernel p99")],
    ),
    "paced": ("Live, to readers that look every 200 us", [CPU, P50, P99]),
    "loss-free": ("The highest rate without loss", [("loss_free_per_second", "loss-free/s"), CPU]),
    "send": ("Send", CALLS),
    "publish": (
        "Publish",
        [("cpu_ns_per_datagram", "CPU ns/datagram"), ("items_per_second", "datagrams/s"), P50, P99],
    ),
    "joins": ("Join and Leave, both together one call", CALLS),
    "channels": (
        "Many channels joined",
        [("cpu_ns_per_datagram", "CPU ns/datagram"), ("user_cpu_ns_per_datagram", "of it user"),
         ("set_up_ms", "set-up ms")],
    ),
    "stalled": (
        "Subscribers that do not read",
        [("cpu_ns_per_datagram", "CPU ns/datagram"), ("user_cpu_ns_per_datagram", "of it user"), P50, P99],
    ),
    "cursors": ("Many cursors", [CPU, ("bytes_per_cursor", "bytes/cursor"), ("set_up_ms", "set-up ms"), P50, P99]),
    "control": (
        "Control calls beside what exists",
        [*CALLS[:-1], ("receive_thread_us_per_second", "receive thread us/s"),
         ("control_thread_us_per_second", "control thread us/s"), ("cpu_ms_per_flap", "CPU ms/flap")],
    ),
    "memory": (
        "Memory",
        [("bytes_per_subscriber", "bytes/subscriber"), ("bytes_per_cursor", "bytes/cursor"),
         ("bytes_per_channel", "bytes/channel")],
    ),
    "flat-memory": (
        "Memory over many deliveries",
        [("resident_growth_bytes", "growth after the first tenth, bytes"), ("resident_bytes_10", "at the end, bytes")],
    ),
    "start-up": ("Start", [("start_up_ms", "ms until ready"), ("server_resident_bytes", "bytes resident")]),
    "transport": ("A Unix socket, TLS, and a batching delay of 5 ms, against plain TCP", [CPU, P50, P99]),
}


def number_text(value):
    size = abs(value)
    if value == int(value) and size < 10:
        return str(int(value))
    return f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def summary_text(summary):
    if not summary:
        return "-"
    if summary["rounds"] == 1:
        return number_text(summary["median"])
    return f"{number_text(summary['median'])} ({number_text(summary['least'])}-{number_text(summary['most'])})"


def table(rows):
    """Markdown, aligned; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


# "2 of 3: why", "0 of 3; the first: why", "1 of 1; why the search ended".
VALIDITY = re.compile(r"(\d+ of \d+)(?:: |; )?(.*)")


def case_rows(cells, columns):
    rows = [["load", "subject", *(label for _, label in columns), "valid"]]
    for cell in cells:
        load = cell["title"]
        for series in cell["series"]:
            values = [summary_text(series["summary"].get(metric)) for metric, _ in columns]
            rows.append([load, series["subject"], *values, VALIDITY.match(series["validity"])[1]])
            load = ""
        ratios = {}
        for ratio in cell["ratios"]:
            ratios.setdefault((ratio["of"], ratio["to"]), {})[ratio["metric"]] = ratio["ratio"]
        for (of, to), by_metric in ratios.items():
            values = [summary_text(by_metric[metric]) if metric in by_metric else "" for metric, _ in columns]
            if any(values):
                rows.append(["", f"{of} / {to}", *values, ""])
    return rows


def remarks(cells):
    """What is to be said of rounds that did not count, and of what ended a search; a line each."""
    lines = []
    for cell in cells:
        for series in cell["series"]:
            if why := VALIDITY.match(series["validity"])[2]:
                lines.append(f"- {cell['title']}, {series['subject']}: {why}")
    return lines


def machine_text(report):
    """What was measured on, without what distributions and owners append to a kernel's version."""
    return re.sub(r"(kernel [0-9.]+)[^;]*", r"\1", report["machine"].strip())


def target_rows(targets):
    rows = [["work", "target", "measured", ""]]
    for target in targets:
        rows.append([target["work"], target["target"], summary_text(target["measured"]), target["verdict"]])
    return rows


def points(report, case, over, metric, subject, **parameters):
    """(value of the parameter `over`, median, least, most) for each cell of the case with those parameters."""
    found = []
    for cell in report["cells"]:
        fits = all(cell["parameters"].get(name) == value for name, value in parameters.items())
        if cell["case"] != case or not fits or over not in cell["parameters"]:
            continue
        for series in cell["series"]:
            summary = series["summary"].get(metric)
            if series["subject"] == subject and summary:
                found.append((cell["parameters"][over], summary["median"], summary["least"], summary["most"]))
    return found


def memory_points(report):
    found = []
    for cell in report["cells"]:
        if cell["case"] != "flat-memory":
            continue
        for series in cell["series"]:
            for tenth in range(1, 11):
                summary = series["summary"].get(f"resident_bytes_{tenth}")
                if summary:
                    found.append((cell["parameters"]["deliveries"] * tenth / 10, summary["median"] / 2**20))
    return found


def lines_of(report, subjects, case, over, metric, **parameters):
    return [Line(subject, points(report, case, over, metric, subject, **parameters)) for subject in subjects]


def plots(report):
    """The plots by file name; those without data are left out."""
    saturated = ("mcgw", "tcp-ring", "grpc-single")
    live = ("mcgw", "tcp", "tcp-batch")
    cpu, delivery = "cpu_ns_per_delivery", "CPU, ns per delivery"
    rate = "datagrams_per_second"
    channels = [
        Line(f"IPv{family}{name}", points(report, "channels", "channels", metric, "mcgw", ip_version=family))
        for family in (4, 6)
        for name, metric in (("", "cpu_ns_per_datagram"), (", user", "user_cpu_ns_per_datagram"))
    ]
    latency = [
        Line(f"{subject} {name}", points(report, "latency", rate, f"{name}_us", subject, subscribers=8))
        for subject in ("mcgw", "tcp-batch", "direct")
        for name in ("p50", "p99")
    ]
    every = {
        "cpu_over_subscribers.svg": Plot(
            "CPU over subscribers, end to end, 200 B", "subscribers", delivery,
            lines_of(report, saturated, "saturated", "subscribers", cpu, payload_bytes=200), True, True),
        "cpu_over_payload.svg": Plot(
            "CPU over payload, end to end, 8 subscribers", "payload, bytes", delivery,
            lines_of(report, saturated, "saturated", "payload_bytes", cpu, subscribers=8), True, True),
        "cpu_over_channels.svg": Plot(
            "CPU over channels joined, one of them active", "channels", "CPU, ns per datagram", channels, True),
        "cpu_over_stalled.svg": Plot(
            "CPU over subscribers that do not read", "subscribers", "CPU, ns per datagram",
            [Line("all", points(report, "stalled", "subscribers", "cpu_ns_per_datagram", "mcgw")),
             Line("user", points(report, "stalled", "subscribers", "user_cpu_ns_per_datagram", "mcgw"))], True),
        "cpu_over_rate.svg": Plot(
            "CPU over rate, 200 B, 8 subscribers", "datagrams/s", delivery,
            lines_of(report, live, "latency", rate, cpu, subscribers=8), True, True),
        "latency_over_rate.svg": Plot(
            "Latency over rate, 200 B, 8 subscribers", "datagrams/s", "latency, us", latency, True, True),
        "memory_over_deliveries.svg": Plot(
            "Memory over deliveries", "deliveries", "resident, MiB", [Line("mcgw", memory_points(report))]),
    }  # fmt: skip
    return {name: plot for name, plot in every.items() if any(line.points for line in plot.lines)}


def measured_part(report):
    """Markdown for between the two marks."""
    parts = [machine_text(report) + "."]
    if report["notes"]:
        parts.append("Left out: " + "; ".join(report["notes"]) + ".")
    parts.append("### Targets\n\n" + table(target_rows(report["targets"])))
    images = plots(report)
    if images:
        parts.append("### Growth\n\n" + "\n".join(f"![{plot.title}]({name})" for name, plot in images.items()))
    for case, (heading, columns) in CASES.items():
        cells = [cell for cell in report["cells"] if cell["case"] == case]
        if cells:
            parts.append(f"### {heading}\n\n" + table(case_rows(cells, columns)))
            if lines := remarks(cells):
                parts.append("Not counted, or ended early:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def replace_measured_part(page, report):
    """The page with everything between the marks replaced. ValueError if the marks are not there."""
    begin, end = page.find(BEGIN), page.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    return page[: begin + len(BEGIN)] + "\n\n" + measured_part(report) + "\n\n" + page[end:]
