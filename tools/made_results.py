# SPDX-License-Identifier: Apache-2.0
"""A results file of no measurement at all, made up from a seed: every axis of the lab, so that no figure
of the report is left out, and words that would break a page that does not escape them."""

import json
import random
from pathlib import Path

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>&amp;\"--><!--"
DEFAULTS = {
    "storage": "plain", "chunk_bytes": "524288", "technique": "study_reap", "tier": "local",
    "function": "json", "input": "same", "parallel": "1", "without": "nothing", "frontend": "uffd",
    "snapshot": "full", "clones": "same", "driver": "replay",
}
FUNCTIONS = ("json", "aes", "a-function.with_a:long@name")
PERCENTS = 23  # kTouchPercents
STUDY = ("study_on_demand", "study_reap", "study_faasnap")
THAWS = ("on_demand", "reap", "faasnap", "chunks", "hot")
# Of plain REAP's time.
FACTORS = {
    "present": 0.2, "mapping": 3, "mapping_cached": 0.5, "study_on_demand": 5, "study_reap": 1,
    "study_faasnap": 1.2, "on_demand": 4, "reap": 1.3, "faasnap": 1.1, "chunks": 1.5, "hot": 0.7,
}


def cells() -> list[dict]:
    made = []

    def add(**axes: object) -> None:
        cell = {**DEFAULTS, **{axis: str(value) for axis, value in axes.items()}}
        if cell not in made:
            made.append(cell)

    for function in FUNCTIONS:
        for technique in ("present", "mapping", "mapping_cached", *STUDY):
            add(function=function, technique=technique)
        for storage in ("encrypted", "chunked", "chunked_encrypted"):
            for technique in STUDY:
                add(function=function, technique=technique, storage=storage)
        chunked = {"function": function, "storage": "chunked_encrypted"}
        for technique in THAWS:
            for tier in ("memory", "local", "zone", "origin", "empty_fleet"):
                add(**chunked, technique=technique, tier=tier)
        for technique in ("study_reap", "chunks", "hot"):
            for chunk_bytes in (16384, 65536, 262144, 2097152):
                add(**chunked, technique=technique, chunk_bytes=chunk_bytes)
            for parallel in (8, 64):
                add(**chunked, technique=technique, parallel=parallel)
        for parallel in (8, 64):
            add(function=function, parallel=parallel)
            add(**chunked, technique="hot", parallel=parallel, clones="different")
        for without in ("layout", "page_verify", "page_fill", "overlap", "placement"):
            add(**chunked, technique="hot", without=without)
        add(**chunked, technique="on_demand", frontend="mount")
        add(**chunked, technique="hot", snapshot="diff")
        add(function=function, input="other")
        add(**chunked, technique="hot", input="other")
        for driver in ("qemu", "firecracker"):
            add(function=function, driver=driver)
            add(**chunked, technique="hot", driver=driver)
    return made


def factor_of(cell: dict) -> float:
    factor = FACTORS[cell["technique"]] * (1 + FUNCTIONS.index(cell["function"]))
    if cell["technique"] in STUDY:
        factor *= {"plain": 1, "encrypted": 1.5, "chunked": 8, "chunked_encrypted": 15}[cell["storage"]]
    factor *= {"memory": 0.7, "local": 1, "zone": 2, "origin": 12, "empty_fleet": 15}[cell["tier"]]
    factor *= (int(cell["chunk_bytes"]) / 524288) ** 0.3
    factor *= 1 + 0.4 * (int(cell["parallel"]) - 1)
    factor *= 1.8 if cell["input"] == "other" else 1
    factor *= {"replay": 1, "qemu": 25, "firecracker": 2}[cell["driver"]]
    factor *= {"layout": 3, "overlap": 1.6}.get(cell["without"], 1)
    return factor * (1.3 if cell["frontend"] == "mount" or cell["clones"] == "different" else 1)


def measurement(cell: dict, repetition: int, warm_up: bool, chance: random.Random) -> dict:
    clones = int(cell["parallel"])
    base_ms = 10 * factor_of(cell) * chance.lognormvariate(0, 0.08)
    touches = 3000
    server = cell["technique"] not in ("present", "mapping", "mapping_cached")
    touch_ns = [round(60 * 1.35**i * factor_of(cell)) for i in range(PERCENTS)]
    amplified = (2 if cell["technique"] == "chunks" else 1.2 if cell["technique"] in THAWS else 5) * (int(cell["chunk_bytes"]) / 524288) ** 0.6 if "chunked" in cell["storage"] else 1
    read = round(touches * 4096 * amplified * clones) if server else 0
    where = {"empty_fleet": "origin"}.get(cell["tier"], cell["tier"])
    return {
        "cell": cell, "repetition": repetition, "warm_up": warm_up, "seed": repetition,
        "at": "2026-01-01T00:00:00Z",
        "resume_ms": [base_ms * chance.lognormvariate(0, 0.1) for _ in range(clones)],
        "touches": touches, "touch_mean_ns": base_ms * 1e6 * 0.7 / touches,
        "touch_p50_ns": touch_ns[10], "touch_p90_ns": touch_ns[18], "touch_p99_ns": touch_ns[20],
        "touch_max_ns": touch_ns[22], "touch_ns": touch_ns,
        **{
            f"{stage}_ns": round(base_ms * 1e6 * share * clones) if server else 0
            for stage, share in
            {"fetch": 0.5, "verify": 0.2, "decrypt": 0.2, "install": 0.3}.items()
        },
        "faults": 100, "requests": 50,
        **{f"{tier}_bytes": read if tier == where else read // 10 if server else 0
           for tier in ("memory", "local", "zone", "origin")},
        "cpu_ms": base_ms * 0.9 * clones if server else 0,
        "private_mib": [9.0 + chance.random() for _ in range(clones)],
        "share_mib": [9.5 + 4 / clones + chance.random() for _ in range(clones)],
        "pages_checked": touches,
    }


def write_made_results(folder: Path, repetitions: int = 5, hostile: bool = True) -> None:
    chance = random.Random(1)
    all_cells = cells()
    words = HOSTILE if hostile else "made up"
    header = {
        "thaw_lab": 2, "scenario": f"{words}.toml", "about": f"Made up, to see every figure {words}",
        "digest": "0" * 64, "seed": 1, "repetitions": repetitions, "warm_up": 1,
        "cells": len(all_cells), "started": "2026-01-01T00:00:00Z", "thaw_version": words,
        "commit": "0123abc+", "versions": ["memcached 1.6.18", words], "cpu": words,
        "kernel": words, "cores": 2, "memory_bytes": 25 << 30,
    }
    lines = [header]
    for repetition in range(repetitions + 1):
        lines += [measurement(cell, repetition, repetition == 0, chance) for cell in all_cells]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
