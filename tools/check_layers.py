#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that every include points down the house: src/thaw/layers.txt gives each module's rank, and
a file may include only lower ranks and its own module. Tests may also use testing/. Exits 1 and
prints each offence; `--self-test` proves on made-up trees that it bites."""

import re
import sys
import tempfile
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*"thaw/([^/"]+)/')
TEST_FILE = re.compile(r"_(test|prop|fuzz|bench)\.(cc|h)$")
HEAVY = {"spdlog/": ("base/log.cc",), "CLI/": ("cli/",), "toml++/": ("cli/", "lab/")}


def read_layers(path: Path) -> dict[str, int]:
    layers = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            rank, module = line.split()
            layers[module] = int(rank)
    return layers


def offences(source: Path) -> list[str]:
    layers = read_layers(source / "layers.txt")
    found = []
    files = sorted(p for p in source.rglob("*") if p.suffix in (".h", ".cc"))
    if not files:
        return [f"{source}: no source files; is this the right folder?"]
    for file in files:
        relative = file.relative_to(source)
        module = relative.parts[0]
        if module not in layers:
            found.append(f"{relative}: module '{module}' is not in layers.txt")
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            for header, homes in HEAVY.items():
                if re.match(rf"\s*#\s*include\s*<{re.escape(header)}", line):
                    if not str(relative).startswith(homes):
                        found.append(f"{relative}:{number}: <{header}…> belongs in {' or '.join(homes)} only")
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            if target not in layers:
                found.append(f"{relative}:{number}: includes unknown module '{target}'")
            elif target == module:
                continue
            elif target == "testing":
                if module != "bench" and not TEST_FILE.search(file.name):
                    found.append(f"{relative}:{number}: product code includes testing/")
            elif layers[target] >= layers[module]:
                found.append(
                    f"{relative}:{number}: {module} (rank {layers[module]}) includes {target} "
                    f"(rank {layers[target]})"
                )
    return found


def self_test() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "layers.txt").write_text("# c\n0 base\n1 sys\n2 testing\n")
        for module in ("base", "sys", "testing"):
            (root / module).mkdir()
        (root / "sys" / "a.h").write_text('#include "thaw/base/b.h"\n')
        (root / "base" / "b.h").write_text("")
        (root / "base" / "b_test.cc").write_text('#include "thaw/testing/t.h"\n')
        assert offences(root) == [], offences(root)
        (root / "base" / "b.h").write_text('#include "thaw/sys/a.h"\n')
        (root / "sys" / "c.cc").write_text('#include "thaw/testing/t.h"\n#include <spdlog/x.h>\n')
        (root / "new").mkdir()
        (root / "new" / "n.cc").write_text("")
        assert len(offences(root)) == 4, offences(root)


def main() -> int:
    if "--self-test" in sys.argv:
        self_test()
    source = Path(__file__).resolve().parent.parent / "src" / "thaw"
    found = offences(source)
    print("\n".join(found) if found else "layers: every include points down")
    return 1 if found else 0


sys.exit(main())
