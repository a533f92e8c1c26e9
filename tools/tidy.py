#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over source files; verdicts of files that have not changed come from ccache.

Usage: tidy.py FILE...       run in the top folder, with build/clang configured
       tidy.py --self-test   a verdict that was kept must not outlive what it was about

A verdict is kept for a file's flags, its content and that of everything it includes, .clang-tidy,
and the version of clang-tidy. Only "nothing to say" is kept.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path.cwd()
VERDICTS = pathlib.Path("build/clang/tidy")
COMPILER = "tools/tidy_compiler.sh"


def flags_by_file():
    """What build/clang compiles, relative to the top folder, each with its flags."""
    found = {}
    for entry in json.loads((ROOT / "build/clang/compile_commands.json").read_text()):
        flags = []
        words = iter(shlex.split(entry["command"])[1:])
        for word in words:
            if word in ("-o", "-c"):
                next(words)
            else:
                flags.append(word.replace(f"{ROOT}/", ""))
        found[os.path.relpath(entry["file"], ROOT)] = flags
    return found


def environment():
    version = subprocess.check_output(["clang-tidy-19", "--version"], text=True)
    return os.environ | {
        "CCACHE_COMPILERTYPE": "clang",
        "CCACHE_COMPILERCHECK": "string:" + " ".join(version.split()),
        "CCACHE_EXTRAFILES": f".clang-tidy:{COMPILER}",
        "CCACHE_NOHASHDIR": "1",
    }


def check(name, flags, env):
    """What clang-tidy says of a file; nothing if it is clean."""
    verdict = VERDICTS / (name.replace("/", "+") + ".o")
    done = subprocess.run(["ccache", COMPILER, *flags, "-o", verdict, "-c", name], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout + f"clang-tidy: {name}\n" if done.returncode else ""


def self_test(env):
    """What a preprocessor drops decides here: a comment in a header, a second include."""
    folder = VERDICTS / "src/thaw"  # a name that the header filter of .clang-tidy lets through
    folder.mkdir(parents=True, exist_ok=True)
    header, source = folder / "canary.h", folder / "canary.cc"
    include = '#include "canary.h"\n'
    excused = "#pragma once\nnamespace LOUD {}  // NOLINT(readability-identifier-naming)\n"
    for found, header_text, source_text in [
            ("", excused, include + "\n"),
            ("", excused, include + "\n"),
            ("identifier-naming", excused.replace("NOLINT", "LOVELY"), include + "\n"),
            ("duplicate-include", excused, include + include),
            ("", excused, include + "\n")]:
        header.write_text(header_text)
        source.write_text(source_text)
        said = check(str(source), ["-std=c++20"], env)
        if bool(found) != bool(said) or found not in said:
            sys.exit(f"tidy.py: self-test: wanted {found or 'nothing'}, clang-tidy said:\n{said}")


def main():
    if not VERDICTS.parent.is_dir():
        sys.exit("tidy.py: there is no build/clang here; in the top folder run cmake --preset clang")
    VERDICTS.mkdir(exist_ok=True)
    env = environment()
    if sys.argv[1:] == ["--self-test"]:
        self_test(env)
        return
    known = flags_by_file()
    unknown = [name for name in sys.argv[1:] if name not in known]
    if unknown:
        sys.exit(f"tidy.py: build/clang does not compile {unknown[0]}; after adding a file run "
                 "cmake --preset clang")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = "".join(pool.map(lambda name: check(name, known[name], env), sys.argv[1:]))
    print(said, end="")
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
