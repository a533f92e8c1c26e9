# SPDX-License-Identifier: Apache-2.0
"""The guest's function: one JSON request a line on standard input, one JSON reply a line on
standard output.

Request:
  {"id": any, "document": [order, ...]}: the document to work on, or
  {"id": any, "orders": count, "seed": number}: the function makes it, the same for the same seed
Reply:
  {"id": as sent, "ok": true, "calls": n, "boot_id": hex, "sha256": hex, ...totals} or
  {"id": as sent, "ok": false, "error": text, "calls": n, "boot_id": hex}

`sha256` depends on the request alone; `boot_id` tells which warm process answered, `calls` how many
requests it has answered, this one included. A line that is no JSON object is not counted.
"""

import hashlib
import json
import os
import platform
import random
import sys

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
                "order": number,
                "customer": f"customer-{source.randrange(CUSTOMERS):03}",
                "item": source.choice(ITEMS),
                "quantity": source.randint(1, 9),
                "unit_cents": source.randint(50, 99_999),
                "tags": ["express"] if source.random() < 0.2 else [],
            }
            for number in range(orders)
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
    """The part of the reply that depends on the request alone."""
    if "document" in request:
        orders = json.loads(json.dumps(request["document"]))
    else:
        count = int(request.get("orders", ORDERS_DEFAULT))
        if not 0 <= count <= ORDERS_MAX:
            raise ValueError(f"orders is {count}; it must be from 0 to {ORDERS_MAX}")
        orders = json.loads(make_document(count, int(request.get("seed", 1))))
    summary = summarize(orders)
    text = json.dumps(summary, sort_keys=True, separators=(",", ":"))
    return {
        "orders": len(orders),
        "customers": len(summary["customers"]),
        "revenue_cents": summary["revenue_cents"],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def say(message: dict) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    boot_id = os.urandom(8).hex()
    calls = 0
    say({"ready": True, "boot_id": boot_id, "python": platform.python_version()})
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        reply: dict = {"id": None, "ok": True, "boot_id": boot_id}
        try:
            request = json.loads(line)
            reply["id"] = request.get("id")
            calls += 1
            reply.update(answer(request))
        # The service outlives every request; whatever a request breaks is the caller's to read.
        except Exception as error:
            reply.update(ok=False, error=f"{type(error).__name__}: {error}")
        say({**reply, "calls": calls})


main()
