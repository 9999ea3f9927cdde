"""Figures as Markdown and as drawings (SVG, written by hand)."""

import html
import itertools
import math
import statistics

import gateways
import workloads

COLOURS = {
    "transom": "#0b6e4f", "grpc-gateway": "#3a7ca5", "envoy": "#a23b72", "vanguard": "#e07a1f",
    "structured-proxy": "#7d5ba6", "nginx": "#8a8a8a", "haproxy": "#b8b8b8",
}  # fmt: skip
# At how many points of a run its memory is looked at.
GROWTH_STEPS = 10
QUANTILES = (("p50_ms", "p50 ms"), ("p90_ms", "p90 ms"), ("p99_ms", "p99 ms"), ("p999_ms", "p99.9 ms"), ("max_ms", "max ms"))


def spread(values):
    middle, low, high = map(number, (statistics.median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def number(value):
    """Three digits, or all those before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(2 - (math.floor(math.log10(value)) if value > 0 else 0), 0)}f}" if value >= 0.01 else f"{value:.3f}"


def count(how_many, noun):
    return f"{how_many:,} {noun}" + ("" if how_many == 1 else "s")


def ratios(found, reference):
    """Round by round, so that what slows the machine for a while slows both."""
    return [ours / theirs for ours, theirs in zip(found, reference) if theirs]


def column(runs, name):
    return [run[name] for run in runs]


def beside(runs):
    """The columns of plain gRPC in the same rounds."""
    plain = [run["plain"] for run in runs if "plain" in run]
    failed = [run["failure"] for run in plain if "failure" in run]
    if failed or not plain:
        return [escape(failed[0]) if failed else "", "", ""]
    over = [run["p99_ms"] - run["plain"]["p99_ms"] for run in runs]
    difference = signed(statistics.median(over))
    return [spread(column(plain, "p99_ms")), spread(column(plain, "lag_p99_ms")), difference if len(over) == 1 else f"{difference} ({signed(min(over))} to {signed(max(over))})"]


class Rows:
    """By cell and gateway either a list of runs, or the text of why there are none."""

    is_timed = False

    def __init__(self, names):
        self.names = names
        self.rows = {}
        self.has_failed = False

    def not_served(self, cell, name, reason):
        self.rows[cell, name] = f"not served: {reason}"[:120]

    def fail(self, cell, name, reason):
        """A row that failed in one round has no figures, however good the others were."""
        self.rows[cell, name] = f"failed: {reason}"[:400]
        self.has_failed = True

    def figures(self):
        return [{"workload": str(cell), "gateway": name, "runs": runs} for (cell, name), runs in self.rows.items()]

    def runs(self, cell, name):
        found = self.rows.get((cell, name))
        return found if isinstance(found, list) and found else None

    def cells(self):
        return list(dict.fromkeys(cell for cell, _ in self.rows))

    def measured(self):
        """Cell, name and runs of each row; the text instead of the runs if there are none."""
        for cell in self.cells():
            for name in self.names:
                if (cell, name) in self.rows:
                    yield cell, name, self.runs(cell, name) or self.rows[cell, name] or "not measured"

    def growth(self, columns):
        """What grew with connections, routes or workers: each cell against the first that is otherwise the same."""
        lines = []
        for noun in ("connection", "route", "worker"):
            groups = {}
            for cell in self.cells():
                alike = cell.workload.key, *(size for other, size in cell.sizes.items() if other != noun)
                groups.setdefault(alike, []).append(cell)
            for base, *others in groups.values():
                for cell, name in itertools.product(others, self.names):
                    runs, first = self.runs(cell, name), self.runs(base, name)
                    if runs and first:
                        shares = (spread(ratios(column(runs, key), column(first, key))) for key, _ in columns)
                        lines.append(f"| {cell.workload.title}: {count(cell.sizes[noun], noun)} ÷ {base.sizes[noun]:,} | {name} | {' | '.join(shares)} |")
        if not lines:
            return []
        titles = " | ".join(title for _, title in columns)
        return ["", "How costs grow, each ÷ the first that is otherwise the same, round by round:", "", f"| compared | gateway | {titles} |", "|---|---|" + "---:|" * len(columns), *lines]

    def svg(self):
        """No drawing."""


class Closed(Rows):
    """Rows of the closed loop."""

    kind, how, is_timed = "table", "wrk, as fast as it is answered", True

    def markdown(self):
        reference = self.names[0]
        lines = [f"| workload | gateway | requests/s | CPU µs a request | CPU ÷ {reference} | p50 ms | p99 ms | p99.9 ms | max ms | RSS MiB |", "|---|---|" + "---:|" * 8]
        for cell, name, runs in self.measured():
            if isinstance(runs, str):
                lines.append(f"| {cell} | {name} | {escape(runs)} | | | | | | | |")
                continue
            first = self.runs(cell, reference)
            share = spread(ratios(column(runs, "cpu_us"), column(first, "cpu_us"))) if first and name != reference else ""
            figures = [spread(column(runs, "rate")), spread(column(runs, "cpu_us")), share, *(spread(column(runs, key)) for key in ("p50_ms", "p99_ms", "p999_ms"))]
            lines.append(f"| {cell} | {name} | {' | '.join(figures)} | {number(max(column(runs, 'max_ms')))} | {spread(column(runs, 'rss_mib'))} |")
        return "\n".join([*lines, *self.growth((("cpu_us", "CPU a request"), ("rate", "requests/s"), ("rss_mib", "RSS"))), *self._noise()])

    def _noise(self):
        """A program against itself: what lies within this range is no difference."""
        lines = []
        for name in self.names:
            twin = name.removesuffix(gateways.AGAIN)
            if twin == name:
                continue
            for cell in self.cells():
                ours, theirs = self.runs(cell, name), self.runs(cell, twin)
                if ours and theirs:
                    parts = (f"{title} {spread(ratios(column(ours, key), column(theirs, key)))}" for key, title in (("cpu_us", "CPU"), ("rate", "requests/s"), ("p99_ms", "p99")))
                    lines.append(f"- {cell}: {', '.join(parts)}")
        return ["", "Noise, the same program twice (second ÷ first, round by round):", "", *lines] if lines else []

    def svg(self):
        """A panel for each cell: CPU a request, on a scale where each step is a factor."""
        cells = [cell for cell in self.cells() if any(self.runs(cell, name) for name in self.names)]
        values = [value for cell in cells for name in self.names for value in column(self.runs(cell, name) or [], "cpu_us") if value > 0]
        if not values:
            return None
        scale = Scale(min(values), max(values), 230, 780)
        drawing, y = Drawing(880), 30
        drawing.text(10, y, "CPU microseconds a request, median and range (logarithmic)", 15)
        for cell in cells:
            y += 34
            drawing.text(10, y, str(cell), 13)
            top = y + 6
            for name in self.names:
                runs = self.runs(cell, name)
                if not runs:
                    continue
                y += 20
                costs = column(runs, "cpu_us")
                middle = statistics.median(costs)
                drawing.text(scale.start - 8, y + 4, name, 12, "end")
                drawing.bar(scale.start, y - 7, scale.at(middle) - scale.start, 14, colour(name))
                drawing.line([(scale.at(min(costs)), y), (scale.at(max(costs)), y)], "#222")
                drawing.text(scale.at(max(costs)) + 8, y + 4, number(middle), 12)
            for mark in scale.marks():
                drawing.line([(scale.at(mark), top), (scale.at(mark), y + 10)], "#ddd", is_behind=True)
                drawing.text(scale.at(mark), y + 22, number_of_axis(mark), 10, "middle")
            y += 16
        return drawing.finish(y + 30)


class Started(Rows):
    """Rows of the start."""

    kind, how = "start", "from before a program is started until it has answered a request"

    def markdown(self):
        lines = ["| routes | gateway | answers after ms | listens after ms | CPU ms | RSS MiB |", "|---:|---|" + "---:|" * 4]
        for cell, name, runs in self.measured():
            if isinstance(runs, str):
                lines.append(f"| {cell.schema.count:,} | {name} | {escape(runs)} | | | |")
                continue
            figures = (spread(column(runs, key)) for key in ("ready_ms", "listening_ms", "cpu_ms", "rss_mib"))
            lines.append(f"| {cell.schema.count:,} | {name} | {' | '.join(figures)} |")
        return "\n".join([*lines, *self.growth((("ready_ms", "time to answer"), ("rss_mib", "RSS")))])


class Grown(Rows):
    """Rows of memory along a run: by row one run, whose `steps` are requests so far and memory."""

    kind, how = "growth", "wrk, as fast as it is answered; memory (RSS) along one run"

    def markdown(self):
        lines = ["| workload | gateway | RSS MiB after requests | second half ÷ first half |", "|---|---|---|---:|"]
        for cell, name, runs in self.measured():
            if isinstance(runs, str):
                lines.append(f"| {cell} | {name} | {escape(runs)} | |")
                continue
            steps = runs[0]["steps"]
            path = ", ".join(f"{answered:,}: {number(rss)}" for answered, rss in steps)
            # Without what stands before the first request.
            sizes = [rss for _, rss in steps[1:]]
            half = len(sizes) // 2
            lines.append(f"| {cell} | {name} | {path} | {statistics.mean(sizes[half:]) / statistics.mean(sizes[:half]):.3f} |")
        return "\n".join(lines)


class Paced:
    """Rows of the constant rate: by cell and gateway the peak, and by fraction of it the runs."""

    kind, how, is_timed = "latency", "constant rate; latencies count from when a request was due", True

    def __init__(self, names):
        self.names = names
        self.peaks = {}
        self.rows = {}
        self.failures = {}
        self.has_failed = False

    def fail(self, cell, name, reason):
        self.failures[cell, name] = f"{'not served' if isinstance(reason, workloads.NotServed) else 'failed'}: {reason}"[:400]
        self.peaks.pop((cell, name), None)
        self.has_failed = self.has_failed or not isinstance(reason, workloads.NotServed)

    def fail_at(self, cell, name, fraction, reason):
        self.rows.setdefault((cell, name), {})[fraction] = f"failed: {reason}"[:400]
        self.has_failed = True

    def can_go_on(self, cell, name, fraction):
        return (cell, name) in self.peaks and not isinstance(self.rows.get((cell, name), {}).get(fraction), str)

    def peak(self, cell, name):
        return statistics.median(self.peaks[cell, name])

    def add(self, cell, name, fraction, run):
        self.rows.setdefault((cell, name), {}).setdefault(fraction, []).append(run)

    def figures(self):
        return [
            {"workload": str(cell), "gateway": name, "peaks": rates, "of_peak": self.rows.get((cell, name), {})} for (cell, name), rates in self.peaks.items()
        ] + [{"workload": str(cell), "gateway": name, "failure": reason} for (cell, name), reason in self.failures.items()]

    def markdown(self):
        titles = [title for _, title in QUANTILES]
        columns = ["of its peak", "requests/s", *titles, "sent late ms", "p99 by plain gRPC", "sent late ms", "p99 over plain gRPC"]
        lines = [f"| workload | gateway | {' | '.join(columns)} |", "|---|---|" + "---:|" * len(columns)]
        for cell, name in self.peaks | self.failures:
            if (cell, name) in self.failures:
                lines.append(f"| {cell} | {name} | {escape(self.failures[cell, name])} |" + " |" * (len(columns) - 1))
                continue
            for fraction, runs in self.rows.get((cell, name), {}).items():
                if isinstance(runs, str):
                    lines.append(f"| {cell} | {name} | {fraction:.0%} | {escape(runs)} |" + " |" * (len(columns) - 2))
                    continue
                figures = [spread(column(runs, key)) for key in ("rate", *(key for key, _ in QUANTILES), "lag_p99_ms")]
                lines.append(f"| {cell} | {name} | {fraction:.0%} | {' | '.join([*figures, *beside(runs)])} |")
        lines += ["", "Peaks by the same generator, requests/s: " + "; ".join(f"{cell}: {name} {spread(rates)}" for (cell, name), rates in self.peaks.items())]
        lines.append("Sent late: by how much the generator itself was late with one in a hundred, although a connection was free.")
        return "\n".join(lines)

    def svg(self):
        """A panel for each cell: p99 over the load."""
        panels = {}
        for (cell, name), fractions in self.rows.items():
            points = [(fraction, statistics.median(column(runs, "p99_ms"))) for fraction, runs in fractions.items() if not isinstance(runs, str)]
            if points:
                panels.setdefault(cell, {})[name] = points
        values = [value for lines in panels.values() for points in lines.values() for _, value in points]
        if not values:
            return None
        drawing, y = Drawing(880), 30
        drawing.text(10, y, "p99 in ms at a constant rate, by share of each gateway's own peak (logarithmic)", 15)
        for cell, lines in panels.items():
            y += 34
            drawing.text(10, y, str(cell), 13)
            bottom, top = y + 260, y + 20
            scale = Scale(min(values), max(values), bottom, top)
            for mark in scale.marks():
                drawing.line([(70, scale.at(mark)), (640, scale.at(mark))], "#ddd", is_behind=True)
                drawing.text(62, scale.at(mark) + 4, number_of_axis(mark), 11, "end")
            for fraction in sorted({fraction for points in lines.values() for fraction, _ in points}):
                drawing.text(70 + 570 * fraction, bottom + 16, f"{fraction:.0%}", 11, "middle")
            for row, (name, points) in enumerate(lines.items()):
                drawing.line([(70 + 570 * fraction, scale.at(value)) for fraction, value in points], colour(name), 2, is_dashed=name.endswith(gateways.AGAIN))
                drawing.bar(670, top + row * 20, 14, 10, colour(name))
                drawing.text(692, top + row * 20 + 10, name, 12)
            y = bottom + 26
        return drawing.finish(y + 20)


def signed(value):
    return ("+" if value >= 0 else "-") + number(abs(value))


def escape(text):
    return " ".join(str(text).replace("|", "\\|").split())


def colour(name):
    return COLOURS.get(name.removesuffix(gateways.AGAIN), "#444")


def number_of_axis(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


class Scale:
    """Logarithmic, over whole powers of ten."""

    def __init__(self, low, high, start, end):
        self.low, self.high = math.floor(math.log10(max(low, 1e-3))), math.ceil(math.log10(max(high, 1e-3)))
        self.high = max(self.high, self.low + 1)
        self.start, self.end = start, end

    def at(self, value):
        part = (math.log10(max(value, 1e-3)) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def marks(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


class Drawing:
    def __init__(self, width):
        self.width = width
        self.behind, self.before = [], []

    def text(self, x, y, words, size, anchor="start"):
        self.before.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{html.escape(words)}</text>')

    def bar(self, x, y, width, height, fill):
        self.before.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" fill="{fill}"/>')

    def line(self, points, stroke, width=1, is_dashed=False, is_behind=False):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if is_dashed else ""
        (self.behind if is_behind else self.before).append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"{dashes}/>')

    def finish(self, height):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {height}" font-family="sans-serif">',
            f'<rect width="{self.width}" height="{height}" fill="white"/>', *self.behind, *self.before, "</svg>", "",
        ])  # fmt: skip
