import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import performance_page

MAKE_DOCS = pathlib.Path(performance_page.__file__).parent / "make_docs"
PAGE = f"# Title\n\nbefore\n\n{performance_page.BEGIN}\n\nold numbers\n\n{performance_page.END}\n\nafter\n"


def summary(median, rounds=3):
    return {"median": median, "least": median - 1, "most": median + 1, "rounds": rounds}


def cell(case, title, parameters, series, ratios=()):
    return {
        "case": case,
        "title": title,
        "parameters": parameters,
        "series": [
            {"subject": subject, "validity": validity, "rounds": [], "summary": values}
            for subject, validity, values in series
        ],
        "ratios": [
            {"of": "mcgw", "to": to, "metric": metric, "ratio": summary(value)} for to, metric, value in ratios
        ],
        "table": "",
    }


def report():
    cpu = "cpu_ns_per_delivery"
    return {
        "mode": "full",
        "machine": "mcgw 0.1.0; a machine\n",
        "notes": ["nats is left out: not installed"],
        "cells": [
            cell(
                "saturated",
                f"200 B, {subscribers} subscribers",
                {"payload_bytes": 200, "subscribers": subscribers},
                [
                    ("tcp-ring", "3 of 3", {cpu: summary(100)}),
                    ("mcgw", "2 of 3: others took 50 % of the server's core", {cpu: summary(130)}),
                ],
                [("tcp-ring", cpu, 1.3)],
            )
            for subscribers in (8, 64)
        ]
        + [
            cell("live", "200 B, 8 x 1000/s", {"payload_bytes": 200, "subscribers": 8}, [("mcgw", "0 of 3: loud", {})])
        ],
        "targets": [
            {"work": "some work", "target": "at most 1.30", "measured": summary(1.25), "verdict": "met"},
            {"work": "other work", "target": "at most 2", "measured": {}, "verdict": "not measured"},
        ],
    }


class PageTest(unittest.TestCase):
    def test_only_what_lies_between_the_marks_is_replaced(self):
        page = performance_page.replace_measured_part(PAGE, report())
        self.assertTrue(page.startswith(f"# Title\n\nbefore\n\n{performance_page.BEGIN}\n\nmcgw 0.1.0; a machine.\n"))
        self.assertTrue(page.endswith(f"{performance_page.END}\n\nafter\n"))
        self.assertNotIn("old numbers", page)
        self.assertEqual(performance_page.replace_measured_part(page, report()), page)

    def test_a_page_without_marks_is_an_error(self):
        with self.assertRaises(ValueError):
            performance_page.replace_measured_part("# Title\n", report())

    def test_tables_hold_medians_ranges_ratios_and_how_many_rounds_counted(self):
        rows = [
            [each.strip() for each in line.strip("|").split("|")]
            for line in performance_page.measured_part(report()).splitlines()
            if line.startswith("|")
        ]
        self.assertIn(["200 B, 8 subscribers", "tcp-ring", "100 (99.0-101)", "-", "3 of 3"], rows)
        self.assertIn(["", "mcgw", "130 (129-131)", "-", "2 of 3"], rows)
        self.assertIn(["", "mcgw / tcp-ring", "1.30 (0.300-2.30)", "", ""], rows)
        self.assertIn(["some work", "at most 1.30", "1.25 (0.250-2.25)", "met"], rows)
        self.assertIn(["other work", "at most 2", "-", "not measured"], rows)

    def test_why_rounds_did_not_count_is_said_below_the_table(self):
        lines = performance_page.measured_part(report()).splitlines()
        self.assertIn("- 200 B, 8 subscribers, mcgw: others took 50 % of the server's core", lines)
        self.assertIn("- 200 B, 8 x 1000/s, mcgw: loud", lines)
        self.assertFalse([line for line in lines if line.startswith("-") and "tcp-ring" in line])

    def test_what_ended_a_search_is_said(self):
        searched = report()
        searched["cells"][0]["series"][0]["validity"] = "1 of 1; ended at 450000/s 12 of 900 missing"
        page = performance_page.measured_part(searched)
        self.assertIn("\n- 200 B, 8 subscribers, tcp-ring: ended at 450000/s 12 of 900 missing\n", page)
        self.assertRegex(page, r"\| tcp-ring +\| 100 \(99.0-101\) .* 1 of 1 \|")

    def test_of_the_kernel_only_its_version_is_named(self):
        named = {**report(), "machine": "mcgw 0.1.0; kernel 6.18.44-local-7; 2 cores\n"}
        self.assertTrue(performance_page.measured_part(named).startswith("mcgw 0.1.0; kernel 6.18.44; 2 cores."))

    def test_without_valid_rounds_there_is_no_number(self):
        self.assertRegex(performance_page.measured_part(report()), r"\| 200 B, 8 x 1000/s \| mcgw +\| - +\| - +\| - ")

    def test_plots_hold_the_points_that_were_measured(self):
        plots = performance_page.plots(report())
        self.assertEqual(set(plots), {"cpu_over_subscribers.svg", "cpu_over_payload.svg"})
        lines = {line.label: line.points for line in plots["cpu_over_subscribers.svg"].lines}
        self.assertEqual(lines["mcgw"], [(8, 130, 129, 131), (64, 130, 129, 131)])
        self.assertEqual(lines["grpc-single"], [])


class MakeDocsTest(unittest.TestCase):
    def run_with(self, content):
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory)
            (folder / "report.json").write_text(json.dumps(content), encoding="utf-8")
            (folder / "page.md").write_text(PAGE, encoding="utf-8")
            command = [sys.executable, "-B", MAKE_DOCS, folder / "report.json", folder / "page.md"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done, {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}

    def test_writes_the_page_and_its_plots(self):
        done, files = self.run_with(report())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("cpu_over_subscribers.svg", files)
        self.assertIn("![CPU over subscribers, end to end, 200 B](cpu_over_subscribers.svg)", files["page.md"])

    def test_a_quick_run_is_not_published(self):
        done, files = self.run_with({**report(), "mode": "quick"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("only a full one", done.stderr)
        self.assertEqual(files["page.md"], PAGE)


if __name__ == "__main__":
    unittest.main()
