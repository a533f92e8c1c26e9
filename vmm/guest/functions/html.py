# SPDX-License-Identifier: Apache-2.0
"""html: a page from templates: a table of products with escaped texts, as a web shop answers.

  {"rows": count, "seed": number, "input": size}

Large: more rows, and the page is read back with the HTML parser, which counts its links.
"""

import collections
import hashlib
import html
import random
from string import Template

from . import is_large, number

ROWS_DEFAULT = 1200
ROWS_LARGE = 2000
ROWS_MAX = 50_000
WORDS = (
    "amber", "brass & iron", "cedar", "delft", "ebony", "felt", "glass", "hemp", "ivory <old>",
    "jute", "kelp", "linen", "maple", "nickel", '"oak"', "pearl", "quartz", "rope", "steel", "tin",
)  # fmt: skip

PAGE = Template(
    "<!doctype html>\n<html><head><title>$title</title></head>\n<body><h1>$title</h1>\n"
    "<table>\n$rows</table>\n<footer>$count products, $total cents</footer></body></html>\n"
)
ROW = Template(
    '<tr class="$kind"><td>$number</td><td>$name</td><td>$price</td><td>$tags</td></tr>\n'
)
TAG = Template('<a href="/tag/$tag">$tag</a>')


def render(rows: int, seed: int) -> tuple[str, int]:
    """The page, and the sum of its prices."""
    source = random.Random(seed)
    total = 0
    lines = []
    for row in range(rows):
        cents = source.randint(99, 99_999)
        total += cents
        tags = sorted({html.escape(source.choice(WORDS)) for _ in range(3)})
        lines.append(
            ROW.substitute(
                kind="odd" if row % 2 else "even",
                number=row + 1,
                name=html.escape(" ".join(source.choice(WORDS) for _ in range(4)).title()),
                price=f"{cents // 100}.{cents % 100:02}",
                tags=", ".join(TAG.substitute(tag=tag) for tag in tags),
            )
        )
    title = html.escape(f"Products <{seed}>")
    return PAGE.substitute(title=title, rows="".join(lines), count=rows, total=total), total


def count_links(page: str) -> dict[str, int]:
    """How often the page links to each address."""
    # Only here: a guest that was warmed with a small input has never seen the parser.
    from html.parser import HTMLParser

    counts: collections.Counter[str] = collections.Counter()

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            if tag == "a":
                counts[dict(attrs)["href"]] += 1

    parser = Links()
    parser.feed(page)
    parser.close()
    return dict(sorted(counts.items()))


def answer(request: dict) -> dict:
    large = is_large(request)
    rows = number(request, "rows", ROWS_LARGE if large else ROWS_DEFAULT, ROWS_MAX)
    page, total = render(rows, int(request.get("seed", 1)))
    result = page + str(count_links(page)) if large else page
    return {
        "bytes": len(page),
        "total_cents": total,
        "sha256": hashlib.sha256(result.encode()).hexdigest(),
    }
