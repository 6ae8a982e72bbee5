#!/usr/bin/env python3
"""What a throttle at 80, 90 or 95 % costs in time and saves in overrun: the figures and the plot of
docs/agent-memory/phase_14_decisions.md.

  bench/throttle_study.py [--runs N] [--seed S] [--svg FILE]     prints the tables as Markdown

The model: work whose usage is known only when it ends (recorded outside permits, or with caps that are ignored). A run
is as large as its budget: tasks start while what is known to be used is below the limit, N at once, and one at a time
from the threshold on. What still runs at the limit ends, and is the overrun. Sizes are log-normal; a task takes as long
as it is large. All thresholds see the same tasks. The same seed gives the same figures.
"""
import argparse
import heapq
import math
import random
import sys

THRESHOLDS = (80, 90, 95, 100)  # 100: never
NAMES = {80: "80 %", 90: "90 %", 95: "95 %", 100: "never"}
COLOURS = {80: "#0072b2", 90: "#d55e00", 95: "#009e73", 100: "#666666"}
AT_ONCE = (4, 16)
SHARES = (1, 2, 4, 6, 8, 10, 15, 20)  # percent of the budget that N tasks of the mean size use
SPREADS = (0.3, 1.0, 2.0)           # standard deviation / mean of the sizes
PLOTTED_SPREAD = 1.0
TASK = 1000.0  # mean tokens


class Sizes:
    """The sizes of the tasks of one run, drawn once and seen by every threshold."""

    def __init__(self, seed, spread):
        self.random = random.Random(seed).random  # the one method whose sequence Python promises to keep
        self.sigma = math.sqrt(math.log(1 + spread * spread))
        self.drawn = []

    def __getitem__(self, index):
        while index >= len(self.drawn):
            normal = math.sqrt(-2 * math.log(1 - self.random())) * math.cos(2 * math.pi * self.random())
            self.drawn.append(TASK * math.exp(self.sigma * normal - self.sigma * self.sigma / 2))
        return self.drawn[index]


def run(sizes, limit, at_once, threshold):
    """Time until the last task has ended, and what all of them used."""
    now = used = 0.0
    started, running = 0, []
    while True:
        most = 1 if threshold < 100 and used >= limit * threshold / 100 else at_once
        while used < limit and len(running) < most:
            heapq.heappush(running, (now + sizes[started], sizes[started]))
            started += 1
        if not running:
            return now, used
        now, size = heapq.heappop(running)
        used += size


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def study(at_once, share, spread, runs, seed):
    """threshold -> mean overrun, its 99th percentile (percent of the limit), time (of the run without a throttle)."""
    limit = at_once * TASK * 100 / share
    overruns, times = {t: [] for t in THRESHOLDS}, {t: [] for t in THRESHOLDS}
    for i in range(runs):
        sizes = Sizes(f"{seed}-{i}-{spread}", spread)
        for threshold in THRESHOLDS:
            time, used = run(sizes, limit, at_once, threshold)
            overruns[threshold].append(100 * (used - limit) / limit)
            times[threshold].append(time)
    whole = sum(times[100])
    return {t: (sum(overruns[t]) / runs, percentile(overruns[t], 99), sum(times[t]) / whole) for t in THRESHOLDS}


def table(results, at_once, spread):
    heads = [f"{NAMES[t]}: overrun, p99, time" for t in THRESHOLDS]
    print(f"\n{at_once} at once, spread {spread}\n\n| in flight | " + " | ".join(heads) + " |\n|" + "---|" * (len(heads) + 1))
    for share in SHARES:
        cells = ["{:.2f} %, {:.1f} %, {:.2f}".format(*results[at_once, share, spread][t]) for t in THRESHOLDS]
        print(f"| {share} % | " + " | ".join(cells) + " |")


# ------------------------------------------------------------------------------------------------------- drawing

WIDTH, HEIGHT, LEFT, TOP, BETWEEN = 380, 230, 70, 60, 90


def ticks(most):
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10) if most / s <= 6)
    return [step * i for i in range(int(most / step) + 1)]


def text(x, y, words, anchor="middle", size=12, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{extra}>{words}</text>'


def panel(out, x0, y0, title, unit, series):
    most = max(value for values in series.values() for value in values) * 1.05

    def place(share, value):
        return x0 + WIDTH * share / SHARES[-1], y0 + HEIGHT * (1 - value / most)
    out.append(text(x0 + WIDTH / 2, y0 - 12, title, size=14))
    out.append(text(x0 + WIDTH / 2, y0 + HEIGHT + 36, "percent of the budget in flight"))
    out.append(text(0, 0, unit, extra=f' transform="translate({x0 - 46},{y0 + HEIGHT / 2}) rotate(-90)"'))
    for tick in ticks(most):
        _, y = place(0, tick)
        out.append(f'<path d="M{x0} {y:.1f}h{WIDTH}" stroke="#ddd"/>' + text(x0 - 8, y + 4, f"{tick:g}", "end"))
    for share in SHARES:
        x, _ = place(share, 0)
        out.append(f'<path d="M{x:.1f} {y0 + HEIGHT}v5" stroke="#333"/>' + text(x, y0 + HEIGHT + 18, str(share), size=11))
    out.append(f'<path d="M{x0} {y0}v{HEIGHT}h{WIDTH}" fill="none" stroke="#333"/>')
    for threshold, values in series.items():
        points = " ".join("{:.1f},{:.1f}".format(*place(*pair)) for pair in zip(SHARES, values))
        dash = ' stroke-dasharray="6 4"' if threshold == 100 else ""
        out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[threshold]}" stroke-width="2.5"{dash}/>')


def draw(results):
    width, height = LEFT + 2 * WIDTH + BETWEEN + 20, TOP + 2 * (HEIGHT + BETWEEN) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" fill="#222">',
           f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for i, threshold in enumerate(THRESHOLDS):
        x = LEFT + 190 * i
        out.append(f'<path d="M{x} 18h30" stroke="{COLOURS[threshold]}" stroke-width="3"/>')
        out.append(text(x + 38, 22, f"throttle at {NAMES[threshold]}" if threshold < 100 else "no throttle", "start"))
    for row, at_once in enumerate(AT_ONCE):
        y0 = TOP + row * (HEIGHT + BETWEEN)
        for column, (index, title, unit) in enumerate(((0, "overrun", "percent of the limit"), (2, "time", "times as long"))):
            series = {t: [results[at_once, share, PLOTTED_SPREAD][t][index] for share in SHARES] for t in THRESHOLDS}
            panel(out, LEFT + column * (WIDTH + BETWEEN), y0, f"{title}, {at_once} at once", unit, series)
    return "\n".join(out) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--svg", metavar="FILE")
    options = parser.parse_args()
    results = {(n, share, spread): study(n, share, spread, options.runs, options.seed)
               for n in AT_ONCE for share in SHARES for spread in SPREADS}
    print(f"{options.runs} runs of each, seed {options.seed}")
    for at_once in AT_ONCE:
        for spread in SPREADS:
            table(results, at_once, spread)
    if options.svg:
        with open(options.svg, "w") as file:
            file.write(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
