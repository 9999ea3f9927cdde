"""What can be wrong in the comparison without a gateway being started: python3 benches/gateways/test_tools.py. `cargo test` runs it too."""

import os
import sys
import tempfile
import unittest

# Sources lie beside what is imported; nothing is written there.
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import builds
import compare
import measure
import report
import schema
import workloads


def cell(connections=64, routes=10, workers=1, key="get"):
    one = schema.Schema(routes)
    return measure.Cell(workloads.workloads(one)[key], connections, one, workers)


def paced(p99, plain):
    return {"rate": 1000.0, "p50_ms": 0.1, "p90_ms": 0.2, "p99_ms": p99, "p999_ms": 2.0, "max_ms": 3.0, "lag_p99_ms": 0.01, "plain": plain}


class Report(unittest.TestCase):
    def test_costs_grow_against_the_first_cell_that_is_otherwise_the_same(self):
        rows = report.Closed(["transom"])
        figures = {"rate": 1000.0, "p50_ms": 1.0, "p99_ms": 2.0, "p999_ms": 3.0, "max_ms": 4.0, "rss_mib": 16.0}
        for one, costs in ((cell(64), (10.0, 20.0)), (cell(1), (30.0, 80.0)), (cell(64, workers=2), (11.0, 22.0)), (cell(64, key="post-1k"), (50.0, 50.0))):
            rows.rows[one, "transom"] = [{**figures, "cpu_us": cost} for cost in costs]
        text = rows.markdown()
        self.assertIn("| GET small: 1 connection ÷ 64 | transom | 3.50 (3.00 to 4.00) |", text)
        self.assertIn("| GET small: 2 workers ÷ 1 | transom | 1.10 |", text)
        self.assertEqual(text.count("÷ 64 |"), 1)
        self.assertNotIn("POST 1 KB: ", text)

    def test_the_difference_to_plain_grpc_is_taken_round_by_round(self):
        rows, one = report.Paced(["transom"]), cell()
        rows.peaks[one, "transom"] = [1000.0]
        for p99, plain in ((1.0, 0.5), (3.0, 1.0)):
            rows.add(one, "transom", 0.7, paced(p99, {"p99_ms": plain, "lag_p99_ms": 0.25}))
        self.assertIn("| 0.750 (0.500 to 1.00) | 0.250 | +1.25 (+0.500 to +2.00) |", rows.markdown())

    def test_a_rate_that_plain_grpc_does_not_keep_has_no_difference(self):
        rows, one = report.Paced(["transom"]), cell()
        rows.peaks[one, "transom"] = [1000.0]
        rows.add(one, "transom", 0.7, paced(1.0, {"failure": "at its end with 900 a second", "p99_ms": 500.0, "lag_p99_ms": 0.1}))
        self.assertIn("| at its end with 900 a second |  |  |", rows.markdown())
        self.assertFalse(rows.has_failed)

    def test_growth_of_memory_is_the_second_half_over_the_first(self):
        rows = report.Grown(["transom"])
        rows.rows[cell(), "transom"] = [{"steps": [(0, 1.0), *((number, 10.0 if number <= 5 else 11.0) for number in range(1, 11))]}]
        self.assertIn("| 1.100 |", rows.markdown())


class Plan(unittest.TestCase):
    def test_more_workers_take_free_cores_before_those_of_the_load(self):
        cores = compare.Cores([0], [1], [1], [0, 1, 2, 3])
        self.assertEqual(cores.with_workers(1).gateway, [0])
        self.assertEqual(cores.with_workers(3).gateway, [0, 2, 3])
        self.assertEqual(cores.with_workers(4).gateway, [0, 2, 3, 1])
        self.assertEqual(compare.Cores([0], [1], [1], [0, 1]).with_workers(2).gateway, [0, 1])

    def test_plain_methods_are_half_of_the_generated_ones(self):
        found = schema.Schema(1000).plain_methods
        self.assertEqual(len(found), 1 + 498)
        self.assertIn("bench.routes0.Routes0/Call1", found)
        self.assertNotIn("bench.routes0.Routes0/Call2", found)
        self.assertNotIn("bench.routes0.Routes0/Call3", found)


class Builds(unittest.TestCase):
    def test_a_digest_tells_files_apart_but_not_where_they_lie(self):
        with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
            for folder in (here, there):
                builds.write(os.path.join(folder, "a"), "text")
            first = builds.digest(here, "more")
            self.assertEqual(first, builds.digest(there, "more"))
            builds.write(os.path.join(there, "a"), "other")
            self.assertNotEqual(first, builds.digest(there, "more"))
            os.rename(os.path.join(here, "a"), os.path.join(here, "b"))
            self.assertNotEqual(first, builds.digest(here, "more"))


if __name__ == "__main__":
    unittest.main()
