# SPDX-License-Identifier: Apache-2.0
"""json: totals of a document of orders. The request has the document, or has it made.

  {"document": [order, ...]}, or {"orders": count, "seed": number}
"""

from __future__ import annotations

import hashlib
import json
import random

from . import number

ORDERS_DEFAULT = 3000
ORDERS_MAX = 100_000
CUSTOMERS = 97
ITEMS = ("anchor", "barrel", "candle", "drum", "engine", "funnel", "girder", "hinge")


def make_document(orders: int, seed: int) -> str:
    """A document as a client would send it: JSON text of `orders` orders."""
    source = random.Random(seed)
    return json.dumps(
        [
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
    )


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


def answer(request: dict) -> dict:
    if "document" in request:
        orders = json.loads(json.dumps(request["document"]))
    else:
        count = number(request, "orders", ORDERS_DEFAULT, ORDERS_MAX)
        orders = json.loads(make_document(count, int(request.get("seed", 1))))
    summary = summarize(orders)
    text = json.dumps(summary, sort_keys=True, separators=(",", ":"))
    return {
        "orders": len(orders),
        "customers": len(summary["customers"]),
        "revenue_cents": summary["revenue_cents"],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
