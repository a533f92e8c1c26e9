# SPDX-License-Identifier: Apache-2.0
"""json: totals of a document of orders. The request has the document, or has it made.

  {"document": [order, ...]}, or {"orders": count, "seed": number, "input": size}

Large: more orders, each with a note beyond Latin and a delivery, and the totals indented.
"""

from __future__ import annotations

import hashlib
import json
import random

from . import is_large, number

ORDERS_DEFAULT = 3000
ORDERS_LARGE = 9000
ORDERS_MAX = 100_000
CUSTOMERS = 97
ITEMS = ("anchor", "barrel", "candle", "drum", "engine", "funnel", "girder", "hinge")
NOTES = ("fragile \u26a0", "\u95a2\u897f", "left \u2190 side", "\"quoted\"\n", "na\u00efve", "\U0001f4e6")


def make_document(orders: int, seed: int, detailed: bool) -> str:
    """A document as a client would send it: JSON text of `orders` orders."""
    source = random.Random(seed)
    document = [
        {
            "order": order,
            "customer": f"customer-{source.randrange(CUSTOMERS):03}",
            "item": source.choice(ITEMS),
            "quantity": source.randint(1, 9),
            "unit_cents": source.randint(50, 99_999),
            "tags": ["express"] if source.random() < 0.2 else [],
        }
        for order in range(orders)
    ]
    if detailed:
        for order in document:
            order["note"] = " ".join(source.choices(NOTES, k=3))
            order["delivery"] = {"kilograms": source.randrange(1 << 16) / 256, "paid": None}
    return json.dumps(document, ensure_ascii=not detailed)


def summarize(orders: list) -> dict:
    """Totals by customer (largest first) and by item of a list of orders."""
    customers: dict = {}
    items: dict = {}
    for order in orders:
        cents = int(order["quantity"]) * int(order["unit_cents"])
        customer = customers.setdefault(order["customer"], {"cents": 0, "orders": [], "express": 0})
        customer["cents"] += cents
        customer["orders"].append(order.get("order"))
        customer["express"] += "express" in order.get("tags", ())
        items[order["item"]] = items.get(order["item"], 0) + int(order["quantity"])
    ranking = sorted(customers.items(), key=lambda entry: (-entry[1]["cents"], entry[0]))
    return {
        "customers": [{"customer": name, **totals} for name, totals in ranking],
        "items": dict(sorted(items.items())),
        "revenue_cents": sum(totals["cents"] for totals in customers.values()),
    }


def summarize_details(orders: list) -> dict:
    """What the large input has besides."""
    notes: dict = {}
    for order in orders:
        notes.setdefault(order["note"], []).append(order["delivery"]["kilograms"])
    return {note: {"kilograms": sum(of), "orders": len(of)} for note, of in notes.items()}


def answer(request: dict) -> dict:
    large = is_large(request) and "document" not in request
    if "document" in request:
        orders = json.loads(json.dumps(request["document"]))
    else:
        default = ORDERS_LARGE if large else ORDERS_DEFAULT
        count = number(request, "orders", default, ORDERS_MAX)
        orders = json.loads(make_document(count, int(request.get("seed", 1)), large))
    summary = summarize(orders)
    text = json.dumps(summary, sort_keys=True, separators=(",", ":"))
    if large:
        text += json.dumps(summarize_details(orders), sort_keys=True, indent=2, ensure_ascii=False)
    return {
        "orders": len(orders),
        "customers": len(summary["customers"]),
        "revenue_cents": summary["revenue_cents"],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
