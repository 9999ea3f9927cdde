"""Tables in Markdown, the plot in SVG, and the places in a page where they go."""

import statistics
from xml.sax.saxutils import escape

BAR_HEIGHT, GAP, LABEL_WIDTH, RATE_WIDTH, TIME_WIDTH, MARGIN, HEAD = 18, 8, 330, 300, 230, 24, 46
COLOURS = {None: "#6b7a8f", "grpc-gateway": "#c98b2b", "transom": "#2f7d6b"}
REST_COLOUR = "#8c6bb1"


def finish(figures, base):
    """Adds what follows from the figures of one measurement. `base` is the row it is divided by, of the same round."""
    figures["client_cpu_us"] = figures.pop("cpu_us")
    figures["tail"] = figures["p99_ms"] / figures["mean_ms"]
    if base:
        figures["ratio"] = figures["rate"] / base["rate"]
    for role in ("server", "gateway"):
        for what in ("running", "waiting"):
            if f"{role}_{what}" in figures:
                figures[f"{role}_{what}_percent"] = 100 * figures[f"{role}_{what}"]
    for group in ("typical", "slowest"):
        for part, value in figures.get(group, {}).items():
            figures[f"{group}_{part.removesuffix('_ms')}"] = value
    return figures


def values(rounds, figure):
    return [one[figure] for one in rounds if figure in one]


def cell(rounds, column):
    found = values(rounds, column.figure)
    if not found:
        return "-"
    text = f"{statistics.median(found):,.{column.digits}f}"
    if column.spread and len(found) > 1:
        text += f" ({min(found):,.{column.digits}f} to {max(found):,.{column.digits}f})"
    return text


def table(part, measured):
    lines = ["| row | " + " | ".join(column.title for column in part.columns) + " |", "|---|" + "---:|" * len(part.columns)]
    for setup in part.setups:
        if setup.name in measured:
            lines.append(f"| {setup.name} | " + " | ".join(cell(measured[setup.name], column) for column in part.columns) + " |")
    return "\n".join(lines)


def plot(part, measured, caption):
    """Requests a second as bars with the range of the rounds, and beside them p50 to p99."""
    setups = [setup for setup in part.setups if setup.name in measured]
    rate_max = max(max(values(measured[setup.name], "rate")) for setup in setups)
    time_max = max(statistics.median(values(measured[setup.name], "p99_ms")) for setup in setups)
    rate_from = MARGIN + LABEL_WIDTH
    time_from = rate_from + RATE_WIDTH + 90
    width = time_from + TIME_WIDTH + 70
    height = HEAD + len(setups) * (BAR_HEIGHT + GAP) + 40
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{rate_from}" y="{HEAD - 14}" font-weight="bold">requests/s, median; the line is the range</text>',
        f'<text x="{time_from}" y="{HEAD - 14}" font-weight="bold">p50 to p99, ms</text>',
    ]
    for index, setup in enumerate(setups):
        rates = values(measured[setup.name], "rate")
        top = HEAD + index * (BAR_HEIGHT + GAP)
        middle, base = top + BAR_HEIGHT / 2, top + BAR_HEIGHT - 4
        colour = COLOURS[setup.gateway] if setup.is_grpc() else REST_COLOUR
        rate = statistics.median(rates)
        p50, p99 = (statistics.median(values(measured[setup.name], figure)) for figure in ("p50_ms", "p99_ms"))
        at = [rate_from + RATE_WIDTH * value / rate_max for value in (rate, min(rates), max(rates))]
        times = [time_from + TIME_WIDTH * value / time_max for value in (p50, p99)]
        shapes += [
            f'<text x="{rate_from - 8}" y="{base}" text-anchor="end">{escape(setup.name)}</text>',
            f'<rect x="{rate_from}" y="{top}" width="{at[0] - rate_from:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>',
            f'<line x1="{at[1]:.1f}" x2="{at[2]:.1f}" y1="{middle}" y2="{middle}" stroke="#111" stroke-width="2"/>',
            f'<text x="{at[2] + 6:.1f}" y="{base}">{rate:,.0f}</text>',
            f'<line x1="{times[0]:.1f}" x2="{times[1]:.1f}" y1="{middle}" y2="{middle}" stroke="{colour}" stroke-width="5"/>',
            f'<circle cx="{times[0]:.1f}" cy="{middle}" r="5" fill="{colour}"/>',
            f'<text x="{times[1] + 6:.1f}" y="{base}">{p99:.1f}</text>',
        ]
    shapes += [f'<text x="{MARGIN}" y="{height - 12}" fill="#555">{escape(caption)}</text>', "</svg>", ""]
    return "\n".join(shapes)


def put(page, name, text):
    """Replaces what stands in the page between the two marks of a part."""
    begin, end = f"<!-- founding, {name}: written by run.py -->", f"<!-- founding, {name}: end -->"
    head, found, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page has no place for the part {name}; it needs the lines `{begin}` and `{end}`")
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}"
