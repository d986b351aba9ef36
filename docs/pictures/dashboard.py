#!/usr/bin/env python3
"""Draws a Grafana dashboard from the answers that a Prometheus gives to its queries, without Grafana.

dashboard.py PROMETHEUS-URL DASHBOARD.json SECONDS >OUT.svg

SECONDS is the time that is shown. Every panel must have an answer: one that has none is named, and nothing is drawn.
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from html import escape

COLUMN, ROW, GAP = 50, 30, 8
COLOURS = ["#1a7f37", "#0969da", "#bc4c00", "#8250df", "#cf222e", "#57606a", "#9a6700", "#1b7c83"]
STYLE = """
  .page { fill: #f6f8fa } .panel { fill: #ffffff; stroke: #d0d7de } .grid { stroke: #d0d7de }
  .change { stroke: #bc4c00; stroke-dasharray: 3 3; opacity: 0.5 } .line { fill: none; stroke-width: 1.5 }
  text { fill: #1f2328 } .title { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
  .stat { font-size: 34px; font-weight: 600; text-anchor: middle } .right { text-anchor: end }
  .red { fill: #cf222e } .green { fill: #1a7f37 } .orange { fill: #bc4c00 }
"""


class Prometheus:
    def __init__(self, url, seconds):
        self.url, self.seconds, self.end = url, seconds, time.time()

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}") as answer:
            return json.load(answer)["data"]["result"]

    def now(self, expression):
        return self.ask("query", query=filled(expression), time=self.end)

    def range(self, expression):
        start, step = self.end - self.seconds, self.seconds / 120
        return self.ask("query_range", query=filled(expression), start=start, end=self.end, step=step)


def filled(expression):
    """What Grafana puts in place of its variables: everything, and four scrapes."""
    for variable, value in {"$namespace": ".*", "$job": ".*", "$groups": ".*", "$__rate_interval": "1m"}.items():
        expression = expression.replace(variable, value)
    return expression


def legend(target, metric):
    text = target.get("legendFormat") or "{{" + ",".join(metric) + "}}"
    for key, value in metric.items():
        text = text.replace("{{" + key + "}}", value)
    return text


def worded(value, unit):
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    return f"{value:.3g}" + {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")


def text(x, y, words, style="", limit=None):
    words = str(words)
    if limit and len(words) > limit:
        words = words[: limit - 1] + "…"
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(words)}</text>'


def stat(panel, box, prometheus):
    x, y, width, height = box
    samples = prometheus.now(panel["targets"][0]["expr"])
    values = [s["metric"].get("version") or f"{float(s['value'][1]):.0f}" for s in samples]
    return [text(x + width / 2, y + height / 2 + 22, ", ".join(values), "stat")] if values else []


def series(panel, prometheus):
    """The lines of a panel: the name, the unit, and the points of each. A query may have a unit of its own."""
    config = panel["fieldConfig"]
    own = {}
    for override in config.get("overrides", []):
        units = [one["value"] for one in override["properties"] if one["id"] == "unit"]
        own.update({override["matcher"]["options"]: unit for unit in units})
    found = []
    for target in panel["targets"]:
        unit = own.get(target["refId"], config["defaults"].get("unit", "short"))
        for line in prometheus.range(target["expr"]):
            points = [(float(at), float(value)) for at, value in line["values"] if value != "NaN"]
            if points:
                found.append((legend(target, line["metric"]), unit, points))
    return found


def timeseries(panel, box, prometheus):
    x, y, width, height = box
    lines = series(panel, prometheus)
    if not lines:
        return []
    units = list(dict.fromkeys(unit for _, unit, _ in lines))
    most = {u: max(v for _, unit, points in lines if unit == u for _, v in points) * 1.1 or 1 for u in units}
    left, top, right, bottom = x + 64, y + 34, x + width - (64 if units[1:] else 12), y + height - 44
    start = prometheus.end - prometheus.seconds
    across = lambda at: left + (at - start) / prometheus.seconds * (right - left)
    up = lambda share: bottom - share * (bottom - top)
    drawn = []
    for share in [0, 1 / 3, 2 / 3, 1]:
        drawn.append(f'<line x1="{left}" x2="{right}" y1="{up(share):.1f}" y2="{up(share):.1f}" class="grid"/>')
        for unit, at, style in zip(units, [left - 6, right + 6], ["small right", "small"]):
            drawn.append(text(at, up(share) + 4, worded(most[unit] * share, unit), style))
    for at in changes(prometheus):
        drawn.append(f'<line x1="{across(at):.1f}" x2="{across(at):.1f}" y1="{top}" y2="{bottom}" class="change"/>')
    for number, (_, unit, points) in enumerate(lines):
        spots = [(across(at), up(value / most[unit])) for at, value in points]
        path = " ".join(f"{at:.1f},{value:.1f}" for at, value in spots)
        colour = COLOURS[number % len(COLOURS)]
        drawn.append(f'<polyline points="{path}" class="line" stroke="{colour}"/>')
        if len(spots) == 1:
            drawn.append(f'<circle cx="{spots[0][0]:.1f}" cy="{spots[0][1]:.1f}" r="2" fill="{colour}"/>')
    return drawn + keys([name for name, _, _ in lines], x + 12, bottom + 20, width - 24)


def keys(names, x, y, width):
    drawn, place, row = [], x, y
    for number, name in enumerate(names):
        needed = 22 + 6.2 * len(name)
        if place + needed > x + width:
            place, row = x, row + 14
        if row > y + 14:
            break
        drawn.append(f'<rect x="{place}" y="{row - 8}" width="10" height="3" fill="{COLOURS[number % len(COLOURS)]}"/>')
        drawn.append(text(place + 14, row - 3, name, "small"))
        place += needed
    return drawn


ANNOTATION = {}


def changes(prometheus):
    """The times at which a leader changed, as the dashboard's annotation asks for them."""
    if "at" not in ANNOTATION:
        lines = prometheus.range(ANNOTATION["expr"])
        found = {float(value) / 1000 for line in lines for _, value in line["values"]}
        ANNOTATION["at"] = sorted(at for at in found if at > prometheus.end - prometheus.seconds)
    return ANNOTATION["at"]


def rows(panel, prometheus):
    """The answers of a table, one row for each group, with the columns named and ordered as the panel says."""
    merged = {}
    for target in panel["targets"]:
        for sample in prometheus.now(target["expr"]):
            metric = sample["metric"]
            row = merged.setdefault((metric["namespace"], metric["group"]), {})
            row.update(metric, **{f"Value #{target['refId']}": float(sample["value"][1])})
    options = next(t for t in panel["transformations"] if t["id"] == "organize")["options"]
    order, names = options["indexByName"], options["renameByName"]
    columns = sorted(order, key=order.get)
    table = [{names.get(key, key): row.get(key, "") for key in columns} for row in merged.values()]
    return [names.get(key, key) for key in columns], sorted(table, key=lambda row: (row["ready"], row["namespace"]))


def cell(column, value, now):
    if column in ("ready", "paused"):
        good = "green" if column == "ready" else ""
        return ("yes", good or "orange") if value else ("no", "red" if column == "ready" else "")
    if column == "last change":
        return (f"{(now - value / 1000):.0f} s ago" if value else "", "")
    return (f"{value:.0f}" if isinstance(value, float) else value, "")


def table(panel, box, prometheus):
    x, y, width, _ = box
    columns, found = rows(panel, prometheus)
    drawn = []
    for number, column in enumerate(columns if found else []):
        at = x + 14 + number * (width - 20) / len(columns)
        drawn.append(text(at, y + 48, column, "title"))
        for line, row in enumerate(found):
            words, style = cell(column, row[column], prometheus.end)
            drawn.append(text(at, y + 74 + line * 24, words, style, 17))
    return drawn


def main():
    url, file, seconds = sys.argv[1:]
    dashboard = json.load(open(file, encoding="utf-8"))
    prometheus = Prometheus(url, int(seconds))
    ANNOTATION["expr"] = dashboard["annotations"]["list"][0]["expr"]
    kinds = {"stat": stat, "timeseries": timeseries, "table": table}
    drawn, empty, bottom = [], [], 0
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        box = (grid["x"] * COLUMN + GAP, grid["y"] * ROW + GAP, grid["w"] * COLUMN - GAP, grid["h"] * ROW - GAP)
        inside = kinds[panel["type"]](panel, box, prometheus)
        if not inside:
            empty.append(panel["title"])
        x, y, width, height = box
        drawn.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" class="panel"/>')
        drawn += [text(x + 12, y + 20, panel["title"], "title"), *inside]
        bottom = max(bottom, y + height + GAP)
    if empty:
        sys.exit("no answer for the panels " + ", ".join(empty))
    width = 24 * COLUMN + GAP
    title = f"The Grafana dashboard of the chart, {dashboard['title']}: its panels with the answers to their queries"
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom}" role="img" font-size="13"')
    print('     font-family="system-ui, -apple-system, \'Segoe UI\', Helvetica, Arial, sans-serif">')
    print(f"<title>{escape(title)}</title>\n<style>{STYLE}</style>")
    print(f'<rect width="{width}" height="{bottom}" class="page"/>')
    print("\n".join(drawn) + "\n</svg>")


main()
