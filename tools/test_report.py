#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lab's report in a real browser: of a run of scenarios/smoke.toml, and of made-up results that fill
every figure. Charts are drawn, in every view; hovering says something; nothing is written to the console
and nothing asked of a network; it fits a phone; light and dark differ. Pages that were broken on purpose
must be found out, or the checks prove nothing.
Usage: test_report.py [--shots DIR] [--results DIR]: keeps pictures; also checks the report of DIR."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from browser import Browser, BrowserError
from made_results import write_made_results

ROOT = Path(__file__).resolve().parent.parent
THAW = Path(os.environ.get("THAW_PROGRAM", ROOT / "build/release/thaw"))
DESK, PHONE = (1200, 900), (360, 740)
PLOT_PIXELS_LEAST = 130  # of width, for the data themselves, on a phone

# What a chart shows of each series that is not hidden: whether any of its points, as the library placed
# them, has the series' colour around it. Axes and grids alone do not count. Yields what is wrong.
BLANK = """
const wrong = [];
const near = (data, i, rgb) => data[i + 3] > 0 &&
  Math.abs(data[i] - rgb[0]) + Math.abs(data[i + 1] - rgb[1]) + Math.abs(data[i + 2] - rgb[2]) < 90;
const rgbOf = (text) => {
  const pen = Object.assign(document.createElement("canvas"), {width: 1, height: 1})
    .getContext("2d", {willReadFrequently: true});
  pen.fillStyle = text;
  pen.fillRect(0, 0, 1, 1);
  return pen.getImageData(0, 0, 1, 1).data;
};
const placesOf = (chart, meta) => meta.data
  .map((element) => element.getCenterPoint ? element.getCenterPoint() : element)
  .filter((at) => Number.isFinite(at.x) && Number.isFinite(at.y) &&
    at.x >= chart.chartArea.left - 1 && at.x <= chart.chartArea.right + 1 &&
    at.y >= chart.chartArea.top - 1 && at.y <= chart.chartArea.bottom + 1);
for (const canvas of document.querySelectorAll("canvas")) {
  const id = canvas.closest("section").id;
  const chart = Chart.getChart(canvas);
  if (!chart) { wrong.push(id + ": no chart"); continue; }
  // A copy, since reading a canvas often makes the browser warn of it.
  const copy = Object.assign(document.createElement("canvas"),
    {width: canvas.width, height: canvas.height});
  const pen = copy.getContext("2d", {willReadFrequently: true});
  pen.drawImage(canvas, 0, 0);
  const ratio = chart.currentDevicePixelRatio, r = 9 * ratio;
  const series = chart.data.datasets.filter((set, i) => !set.reference && !set.aux &&
    chart.isDatasetVisible(i));
  if (!series.length) wrong.push(id + ": no series");
  for (const set of series) {
    const meta = chart.getDatasetMeta(chart.data.datasets.indexOf(set));
    const isBar = meta.type === "bar";
    const values = set.data.filter((v) => v !== null && (typeof v !== "number" || v !== 0));
    if (isBar && !values.length) continue;  // nothing of that part anywhere
    const hollow = set.backgroundColor === "transparent";
    const rgb = rgbOf(hollow ? set.borderColor : set.backgroundColor);
    const inside = placesOf(chart, meta);
    const seen = inside.some((at) => {
      const {data} = pen.getImageData(at.x * ratio - r, at.y * ratio - r, 2 * r, 2 * r);
      for (let i = 0; i < data.length; i += 4) if (near(data, i, rgb)) return true;
      return false;
    });
    // A bar of less than a pixel beside one of a thousand is right, and not to be seen.
    const length = isBar ? Math.max(...meta.data.map((e) => Math.abs(e.x - e.base) || 0)) : 99;
    // The library draws the first series last. What lies point by point under another is right too: two
    // techniques can take the same time.
    const above = series.slice(0, series.indexOf(set))
      .map((other) => placesOf(chart, chart.getDatasetMeta(chart.data.datasets.indexOf(other))));
    const covered = !isBar && inside.length > 0 && inside.every((at) => above.some((places) =>
      places.some((other) => Math.abs(other.x - at.x) <= 2 && Math.abs(other.y - at.y) <= 2)));
    if (!seen && !covered && length > 2) wrong.push(`${id}: ${set.label} is not to be seen`);
  }
}
return wrong;
"""

# For each chart the place, in the window, of a point that can be hovered over.
SCROLL_TO = "document.getElementById(arguments[0]).querySelector('canvas').scrollIntoView({block: 'center'});"
POINT = """
const canvas = document.getElementById(arguments[0]).querySelector("canvas");
const chart = Chart.getChart(canvas), box = canvas.getBoundingClientRect();
for (const [i, set] of chart.data.datasets.entries()) {
  if (set.reference || set.aux || !chart.isDatasetVisible(i)) continue;
  const area = chart.chartArea;
  for (const element of chart.getDatasetMeta(i).data) {
    const at = element.getCenterPoint ? element.getCenterPoint() : element;
    const x = box.left + at.x, y = box.top + at.y;
    // Inside by more than the rounding to whole pixels; an element without a value is skipped.
    if (!element.skip && at.x > area.left + 1 && at.x < area.right - 1 && at.y > area.top + 1 &&
        at.y < area.bottom - 1 && y > 0 && y < innerHeight) return [x, y];
  }
}
return null;
"""
TIP = """
const tip = Chart.getChart(document.getElementById(arguments[0]).querySelector("canvas")).tooltip;
return tip && tip.opacity > 0 ? tip.body.flatMap((each) => each.lines).join(" ").trim() : "";
"""
FACES = """
return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,
  ...[...document.querySelectorAll("canvas")].map((canvas) => {
    const chart = Chart.getChart(canvas);
    return [canvas.closest("section").id, canvas.toDataURL(), chart.options.scales.x.ticks.color].join();
  })];
"""


def wait_for(ask):
    """What `ask` yields, as soon as it yields something: a browser tells pages in its own time. The limit
    is a watchdog, and reached only by what never comes."""
    for _ in range(100):
        if answer := ask():
            return answer
        time.sleep(0.05)
    return None


def ids_of(browser: Browser) -> list[str]:
    return browser.run("return [...document.querySelectorAll('main section')].filter("
                       "(each) => each.querySelector('canvas')).map((each) => each.id);")


def check_quiet(browser: Browser, page: Path) -> list[str]:
    found = [f"console: {line['level']}: {line['message']}" for line in browser.console()]
    here = page.resolve().as_uri()
    asked = [url for url in browser.requests() if url != here and not url.startswith(("data:", "chrome:"))]
    found += [f"asked for {url}" for url in asked]
    if browser.run("return window.broken === 1;"):
        found.append("a name of the results ran as a program")
    return found


def check_hover(browser: Browser, shots: Path | None) -> list[str]:
    found = []
    for name in ids_of(browser):
        browser.run(SCROLL_TO, name)
        point = browser.run(POINT, name)
        if point is None:
            found.append(f"{name}: no point to hover over")
            continue
        browser.move_mouse(*point)
        if not wait_for(lambda: browser.run(TIP, name)):
            found.append(f"{name}: hovering says nothing")
        elif shots and name == "overhead":
            browser.screenshot(shots / "hover.png")
    return found


def check_views(browser: Browser) -> list[str]:
    """Every choice of every select, each chart drawn."""
    found = []
    most = browser.run("return Math.max(0, ...[...document.querySelectorAll('select')].map("
                       "(each) => each.options.length));")
    for choice in [*range(1, most), 0]:
        browser.run(
            "for (const each of document.querySelectorAll('select')) {"
            "each.selectedIndex = Math.min(arguments[0], each.options.length - 1);"
            "each.dispatchEvent(new Event('change')); }", choice)
        found += [f"view {choice}: {wrong}" for wrong in browser.run(BLANK)]
    return found


def check_phone(browser: Browser) -> list[str]:
    browser.set_size(*PHONE, phone=True)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; });")
    found = []
    width = browser.run("return document.scrollingElement.scrollWidth;")
    if width > PHONE[0]:
        found.append(f"phone: the page is {width} pixels wide")
    for wide in browser.run(
        "return [...document.querySelectorAll('canvas')].map((each) => {"
        "const area = Chart.getChart(each).chartArea;"
        "return [each.closest('section').id, area.right - area.left]; });"
    ):
        if wide[1] < PLOT_PIXELS_LEAST:
            found.append(f"phone: {wide[0]} has {wide[1]:.0f} pixels for its data")
    found += [f"phone: {wrong}" for wrong in browser.run(BLANK)]
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = false; });")
    return found


def check_dark(browser: Browser) -> list[str]:
    light = browser.run(FACES)
    browser.set_dark(True)
    same = light

    def all_changed() -> bool:
        nonlocal same
        same = [a for a, b in zip(light, browser.run(FACES)) if a == b]
        return not same

    wait_for(all_changed)
    found = [f"dark: {each.split(',')[0]} looks as in the light" for each in same]
    return found + [f"dark: {wrong}" for wrong in browser.run(BLANK)]


def check(
    browser: Browser, page: Path, shots: Path | None = None, name: str = "", every_view: bool = True
) -> list[str]:
    def shot(kind: str) -> None:
        if shots:
            browser.run("scrollTo(0, 0);")
            browser.screenshot(shots / f"{name}-{kind}.png")

    browser.set_dark(False)
    browser.set_size(*DESK, phone=False)
    browser.console()
    browser.requests()
    browser.open(page)
    if not ids_of(browser):
        return ["no figure", *check_quiet(browser, page)]
    found = [f"light: {wrong}" for wrong in browser.run(BLANK)]
    if every_view:
        found += check_views(browser) + check_hover(browser, shots)
    browser.move_mouse(0, 0)
    shot("light")
    found += check_dark(browser)
    shot("dark")
    browser.set_dark(False)
    found += check_phone(browser)
    shot("phone")
    return found + check_quiet(browser, page)


def with_charts(page: Path, change) -> str:
    """The page with its charts changed."""
    text = page.read_text()
    begin = text.index('id="charts">') + len('id="charts">')
    end = text.index("</script>", begin)
    charts = json.loads(text[begin:end])
    change({chart["id"]: chart for chart in charts})
    return text[:begin] + json.dumps(charts).replace("<", "\\u003c") + text[end:]


def set_points(points):
    """A change: all series of the distribution have these."""
    def change(charts: dict) -> None:
        for panel in charts["resume_distribution"]["panels"]:
            for series in panel["series"]:
                series["points"] = points
    return change


# Two techniques that take the same time: one lies under the other, which is right.
COINCIDING = set_points([[5, 50], [8, 100]])


def broken_pages(page: Path) -> dict[str, str]:
    """What must be found out, by what is found."""
    text = page.read_text()
    body = text.index("<main>")
    return {
        "is not to be seen": with_charts(page, set_points([])),
        "console: SEVERE": text[:body] + "<script>nothing.at.all();</script>" + text[body:],
        "asked for": text.replace("default-src 'none'", "default-src *").replace(
            "default-src &#39;none&#39;; script-src", "default-src *; script-src", 1).replace(
            "img-src data:", "img-src *", 1).replace(
            "<main>", "<main><img src='http://127.0.0.1:9/x.png' alt=''>", 1),
        "pixels wide": text.replace("<main>", "<main><div style='width: 500px'>wide</div>", 1),
        "looks as in the light": text.replace("prefers-color-scheme: dark", "prefers-contrast: less"),
    }


def run_thaw(*arguments: object) -> str:
    done = subprocess.run([THAW, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"thaw {' '.join(map(str, arguments))} failed: {done.stderr}")
    return done.stdout


def report_of(results: Path) -> Path:
    made = json.loads(run_thaw("lab", "report", results, "--json"))
    print(f"   {results.name}: {len(made['figures'])} figures, {len(made['left_out'])} left out, "
          f"{made['html_bytes'] // 1024} KiB")
    if results.name == "made" and made["left_out"]:
        sys.exit(f"results that have everything lack something: {made['left_out']}")
    return Path(made["html"])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shots", type=Path)
    parser.add_argument("--results", type=Path)
    wanted = parser.parse_args()
    if wanted.shots:
        wanted.shots.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory(dir=THAW.parent) as folder:
        made, smoke = Path(folder) / "made", Path(folder) / "smoke"
        write_made_results(made)
        run_thaw("lab", "run", ROOT / "scenarios/smoke.toml", "--output", smoke, "--json")
        pages = {each.name: report_of(each)
                 for each in (made, smoke, *([wanted.results] if wanted.results else []))}
        try:
            with Browser() as browser:
                for name, page in pages.items():
                    for wrong in check(browser, page, wanted.shots, name):
                        print(f"   {name}: {wrong}")
                        failed += 1
                broken = Path(folder) / "broken.html"
                broken.write_text(with_charts(pages["smoke"], COINCIDING))
                for wrong in check(browser, broken, every_view=False):
                    print(f"   series that coincide: {wrong}")
                    failed += 1
                for expected, text in broken_pages(pages["smoke"]).items():
                    broken.write_text(text)
                    if not any(expected in wrong for wrong in check(browser, broken, every_view=False)):
                        print(f"   a page that was broken passes: nothing says '{expected}'")
                        failed += 1
        except BrowserError as error:
            sys.exit(f"the browser: {error}")
    print("report in a browser: " + (f"{failed} failed" if failed else "passed"))
    return 1 if failed else 0


sys.exit(main())
