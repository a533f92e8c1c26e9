#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that every type outside an unnamed namespace is defined in one file. Two definitions of one
name are undefined behaviour that no compiler reports: the linker keeps either one's destructor for
both. Exits 1 and prints each offence; `--self-test` proves on made-up trees that it bites."""

import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

# clang-format keeps definitions of a namespace at column 0, and the comment that ends it.
ATTRIBUTE = r"(?:\[\[\w+\]\]|alignas\([^)]*\)|[A-Z_]{2,}(?:\([^)]*\))?(?!\s+final))\s+"
DEFINITION = re.compile(
    rf"^(?:template\s*<.*>\s*)?(?:struct|class|enum class|enum|union)\s+(?:{ATTRIBUTE})*(\w+)(.*)$"
)
UNNAMED, END_OF_UNNAMED = "namespace {", "}  // namespace"


def definitions(text: str) -> set[str]:
    names, unnamed = set(), False
    for line in text.splitlines():
        if line == UNNAMED:
            unnamed = True
        elif line == END_OF_UNNAMED:
            unnamed = False
        match = None if unnamed else DEFINITION.match(line)
        # Neither a declaration nor the body of a nested type, `struct Outer::Impl {`.
        if match and not match[2].rstrip().endswith(";") and not match[2].startswith("::"):
            names.add(match[1])
    return names


def offences(source: Path) -> list[str]:
    homes = defaultdict(list)
    files = sorted(p for p in source.rglob("*") if p.suffix in (".h", ".cc"))
    if not files:
        return [f"{source}: no source files; is this the right folder?"]
    for file in files:
        for name in definitions(file.read_text()):
            homes[name].append(str(file.relative_to(source)))
    return [f"{name} is defined in {', '.join(at)}" for name, at in sorted(homes.items()) if len(at) > 1]


def self_test() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "a.h").write_text("struct A {\n};\nclass B final : public A {\n};\nstruct C;\n")
        (root / "b.cc").write_text(
            "struct A;\nnamespace {\nstruct B {\n};\n}  // namespace\nstruct B::Impl {\n};\nenum class C { k };\n"
        )
        assert offences(root) == [], offences(root)
        (root / "c.cc").write_text("template <class T>\nstruct A {\n};\nclass CAPABILITY(\"b\") B {\n};\n")
        assert offences(root) == [
            "A is defined in a.h, c.cc",
            "B is defined in a.h, c.cc",
        ], offences(root)


def main() -> int:
    if "--self-test" in sys.argv:
        self_test()
    found = offences(Path(__file__).resolve().parent.parent / "src" / "thaw")
    print("\n".join(found) if found else "types: each is defined once")
    return 1 if found else 0


sys.exit(main())
