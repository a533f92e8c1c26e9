# SPDX-License-Identifier: Apache-2.0
"""Builds the guest's kernel and initramfs from Debian packages; nothing is installed on the host.

DIR/kernel, DIR/initramfs, DIR/image.json (what they were made from, and their SHA-256),
DIR/packages (the downloads). An image is up to date when image.json names the same recipe and both
files still have their digests; then nothing is done.

Every image has busybox, CPython and the functions. What only some functions need (functions.NEEDS)
is an extra, so that the image without extras stays small and boots fast.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import durable
from .cpio import CpioWriter
from .failure import Failure

_KERNEL_METAPACKAGE = "linux-image-cloud-amd64"
_PACKAGES = (
    "busybox-static",
    "libc6",
    "libexpat1",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3.11-minimal",
    "zlib1g",
)
_LIBRARY_DIRECTORIES = (
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/blas",
    "usr/lib/x86_64-linux-gnu/lapack",
)
_LOADER = "ld-linux-x86-64.so.2"
_PYTHON = "usr/bin/python3.11"
_STDLIB = "usr/lib/python3.11"
_DIST_PACKAGES = "usr/lib/python3/dist-packages"


@dataclass(frozen=True)
class _Extra:
    """What an image may have besides. The libraries that it needs are found in its packages."""

    packages: tuple[str, ...]
    modules: tuple[str, ...] = ()  # Python packages; they stand beside the standard library
    program: str | None = None
    files: tuple[str, ...] = ()  # that the program reads, besides its libraries


EXTRAS = {
    "node": _Extra(
        packages=(
            "libbrotli1", "libc-ares2", "libgcc-s1", "libicu72", "libnghttp2-14", "libnode108",
            "libssl3", "libstdc++6", "libuv1", "node-acorn", "node-cjs-module-lexer",
            "node-undici", "nodejs",
        ),
        program="usr/bin/node",
        # Debian's node reads these parts of itself when it starts.
        files=(
            "usr/share/nodejs/acorn/dist/acorn.js",
            "usr/share/nodejs/acorn-walk/dist/walk.js",
            "usr/share/nodejs/cjs-module-lexer/dist/lexer.js",
            "usr/share/nodejs/cjs-module-lexer/lexer.js",
            "usr/share/nodejs/undici/undici-fetch.js",
        ),
    ),
    "numpy": _Extra(
        packages=(
            "libblas3", "libgcc-s1", "libgfortran5", "liblapack3", "libquadmath0", "python3-numpy",
        ),
        modules=("numpy",),
    ),
    "pil": _Extra(
        packages=(
            "libbsd0", "libdeflate0", "libgcc-s1", "libgomp1", "libimagequant0", "libjbig0",
            "libjpeg62-turbo", "liblerc4", "liblzma5", "libmd0", "libopenjp2-7", "libstdc++6",
            "libtiff6", "libwebp7", "libxau6", "libxcb1", "libxdmcp6", "libzstd1", "python3-pil",
        ),
        modules=("PIL",),
    ),
}  # fmt: skip

# Parts of the standard library that a function does not import: tests, tools, documentation,
# desktops.
_STDLIB_DROPPED = (
    "antigravity.py", "ctypes", "curses", "dbm", "distutils", "doctest.py", "idlelib",
    "lib2to3", "pdb.py", "pydoc.py", "pydoc_data", "sqlite3", "test", "this.py", "turtle.py",
    "unittest", "venv", "_distutils_system_mod.py", "_pyio.py", "_pydecimal.py",
)  # fmt: skip
# Extension modules that need a library which the guest does not have, and test doubles.
_EXTENSIONS_DROPPED = re.compile(
    r"(_test.*|_xx.*|xx.*|_bz2|_codecs_.*|_crypt|_ctypes|_curses.*|_dbm|_hashlib|_lzma|_sqlite3"
    r"|_ssl|_uuid|nis|ossaudiodev|readline)\.cpython"
)
# Of the extras' Python packages: tests, build tools, sources, and what needs still more libraries.
_EXTRA_DROPPED = re.compile(
    r"(tests|testing|f2py|distutils|doc|include|__pycache__|.*\.(a|h|c|pxd|pyi|pyx)"
    r"|(_operand_flag_tests|_rational_tests|_simd|_struct_ufunc_tests|_umath_tests"
    r"|_imagingcms|_imagingft|_imagingtk|_webp)\.cpython.*)"
)
_IMAGE_FILES = ("image.json", "kernel", "initramfs")
_GUEST = Path(__file__).resolve().parent.parent / "guest"
_GUEST_FILES = ("init", "function.py")
# Stands beside the standard library, so that it is compiled with it.
_GUEST_PACKAGE = "functions"
# While the guest boots: the archive is there, and what is unpacked from it may fill half of what
# that and the kernel leave.
_MEMORY_PER_INITRAMFS = 3
_KERNEL_MIB = 60

sys.path.append(str(_GUEST))
import functions  # noqa: E402


def build(output: Path, extras: Iterable[str] = ()) -> dict:
    """Builds the image in `output`, or finds it up to date: image.json's content and `built`."""
    extras = _known(extras)
    recipe = _recipe(extras)
    found = _up_to_date(output, recipe)
    if found is not None:
        return {**found, "built": False}
    packages = output / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    debs = _download(packages, _package_names(extras))
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output) as scratch:
        unpacked = Path(scratch, "unpacked")
        for deb in debs:
            _run(
                ["dpkg", "-x", str(deb), str(unpacked)],
                "unpack a package",
                f"delete {deb} and run again",
            )
        root = Path(scratch, "root")
        _assemble(unpacked, root, extras)
        _check(root, extras)
        initramfs = Path(scratch, "initramfs")
        _pack(root, initramfs)
        kernel = _only(unpacked.glob("boot/vmlinuz-*"), "kernel in the kernel package")
        # What has no image.json is no image: from here until the last line there is none.
        (output / "image.json").unlink(missing_ok=True)
        durable.publish(initramfs, output / "initramfs")
        durable.publish(kernel, output / "kernel")
    image = {
        "recipe": recipe,
        "with": extras,
        "packages": [deb.name for deb in debs],
        "kernel_sha256": _digest(output / "kernel"),
        "initramfs_sha256": _digest(output / "initramfs"),
        "kernel_bytes": (output / "kernel").stat().st_size,
        "initramfs_bytes": (output / "initramfs").stat().st_size,
    }
    durable.write_json(output / "image.json", image)
    return {**image, "built": True}


def build_each(output: Path, extras: Iterable[str] | None = None) -> Iterator[dict]:
    """Builds one image without extras and one for each extra (all, if None is given), in folders of
    `output`: a guest that has only what its function needs boots fastest. As build(), image by
    image, with `image`, the folder's name, and `functions`, which are to run in it."""
    needs = [None, *_known(EXTRAS if extras is None else extras)]
    for number, need in enumerate(needs, 1):
        image = folder(output, need)
        yield {
            "number": number,
            "of": len(needs),
            "image": image.name,
            "functions": [name for name in functions.NAMES if functions.NEEDS.get(name) == need],
            **build(image, () if need is None else (need,)),
        }


def folder(images: Path, need: str | None) -> Path:
    """The folder of the image that build_each() makes for functions that need this extra."""
    return images / ("guest-image" if need is None else f"guest-image-{need}")


def is_built(image: Path) -> bool:
    """Whether there is an image; of which version is another question."""
    return all((image / name).is_file() for name in _IMAGE_FILES)


def is_current(image: Path, extras: Iterable[str] = ()) -> bool:
    """Whether build() would find the image up to date."""
    return _up_to_date(image, _recipe(_known(extras))) is not None


def files(image: Path) -> tuple[Path, Path]:
    """Kernel and initramfs of a built image."""
    for name in _IMAGE_FILES:
        if not (image / name).is_file():
            raise Failure(
                f"cannot use the guest image {image}: it has no {name}",
                f"build it: thaw-qemu image --output {image}",
            )
    return image / "kernel", image / "initramfs"


def memory_mib_min(image: Path) -> int:
    """The least memory of a guest that boots a built image."""
    initramfs = files(image)[1].stat().st_size
    return _MEMORY_PER_INITRAMFS * initramfs // (1 << 20) + _KERNEL_MIB


def _known(extras: Iterable[str]) -> list[str]:
    extras = sorted(set(extras))
    for name in extras:
        if name not in EXTRAS:
            raise Failure(
                f"no image can be built with {name}", f"choose from {', '.join(sorted(EXTRAS))}"
            )
    return extras


def _package_names(extras: list[str]) -> list[str]:
    names = {*_PACKAGES, *(name for extra in extras for name in EXTRAS[extra].packages)}
    return [*sorted(names), _kernel_package()]


def _recipe(extras: list[str]) -> str:
    """Digest of everything in this repository that shapes the image."""
    digest = hashlib.sha256(" ".join(extras).encode())
    for path in (
        Path(__file__),
        Path(__file__).with_name("cpio.py"),
        *(_GUEST / name for name in _GUEST_FILES),
        *sorted((_GUEST / _GUEST_PACKAGE).glob("*.[jp][sy]")),
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _up_to_date(output: Path, recipe: str) -> dict | None:
    try:
        image = json.loads((output / "image.json").read_text())
        if image["recipe"] != recipe:
            return None
        for name in ("kernel", "initramfs"):
            if _digest(output / name) != image[f"{name}_sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return image


def _download(packages: Path, names: list[str]) -> list[Path]:
    """Every package as a file in `packages`; what is there is not fetched."""
    versions = {name: _version(name) for name in names}
    remedy = "check the network and run apt-get update; the host must be Debian 12 on x86-64"
    # The cache belongs to whoever runs this, so apt's own sandbox user could not write there.
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root"]
    command += [f"{name}={version}" for name, version in versions.items()]
    _run(command, "download the guest's packages", remedy, cwd=packages)
    return [_file(packages, name, version) for name, version in versions.items()]


def _kernel_package() -> str:
    """The real package behind the metapackage."""
    remedy = "run apt-get update; the host must be Debian 12 on x86-64"
    listing = _run(
        ["apt-cache", "depends", _KERNEL_METAPACKAGE], "look up the kernel package", remedy
    )
    match = re.search(r"Depends: (linux-image-\S+)", listing)
    if match is None:
        raise Failure(f"apt-cache names no kernel that {_KERNEL_METAPACKAGE} depends on", remedy)
    return match.group(1)


def _version(name: str) -> str:
    """The version that apt would take from an archive, whatever the host has installed."""
    remedy = "run apt-get update; the host must be Debian 12 on x86-64 with its main archive"
    table = _run(["apt-cache", "policy", name], "look up a package's version", remedy)
    best, version, priority_max = "", "", -1
    for line in table.partition("Version table:")[2].splitlines():
        fields = line.removeprefix(" ***").split()
        if not line.startswith("        "):
            version = fields[0] if fields else ""
        elif fields[1] != "/var/lib/dpkg/status" and int(fields[0]) > priority_max:
            best, priority_max = version, int(fields[0])
    if not best:
        raise Failure(f"cannot look up the guest's package {name}: no archive offers it", remedy)
    return best


def _file(packages: Path, name: str, version: str) -> Path:
    escaped = version.replace(":", "%3a")
    return _only(
        packages.glob(f"{name}_{escaped}_*.deb"), f"file of package {name} {version} in {packages}"
    )


def _assemble(unpacked: Path, root: Path, extras: list[str]) -> None:
    """The guest's files: busybox, CPython with a trimmed library, functions, extras, and the shared
    libraries of all these."""
    for directory in (
        "bin",
        "dev",
        "lib64",
        "proc",
        "sys",
        "tmp",
        "usr/bin",
        _LIBRARY_DIRECTORIES[0],
    ):
        (root / directory).mkdir(parents=True)
    shutil.copy2(_only(unpacked.glob("bin/busybox"), "busybox"), root / "bin/busybox")
    for applet in ("sh", "mount", "stty"):
        (root / "bin" / applet).symlink_to("busybox")
    shutil.copy2(unpacked / _PYTHON, root / _PYTHON)
    loader = unpacked / _LIBRARY_DIRECTORIES[0] / _LOADER
    shutil.copy2(loader.resolve(), root / "lib64" / _LOADER)
    _assemble_stdlib(unpacked / _STDLIB, root)
    for extra in extras:
        _assemble_extra(EXTRAS[extra], unpacked, root)
    _assemble_libraries(unpacked, root)
    _compile(root)
    for name in _GUEST_FILES:
        shutil.copy2(_GUEST / name, root / name)
    (root / "init").chmod(0o755)


def _assemble_extra(extra: _Extra, unpacked: Path, root: Path) -> None:
    def dropped(_: str, names: list[str]) -> set[str]:
        return {name for name in names if _EXTRA_DROPPED.fullmatch(name)}

    for module in extra.modules:
        shutil.copytree(unpacked / _DIST_PACKAGES / module, root / _STDLIB / module, ignore=dropped)
    for file in extra.files if extra.program is None else (extra.program, *extra.files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(unpacked / file, root / file)


def _assemble_libraries(unpacked: Path, root: Path) -> None:
    """The shared libraries that the guest's programs and extension modules need, and theirs."""
    places = [str(unpacked / directory) for directory in _LIBRARY_DIRECTORIES]
    listing = [str(root / "lib64" / _LOADER), "--list", "--library-path", ":".join(places)]
    programs = [path for path in (root / "usr/bin").iterdir() if path.is_file()]
    for user in sorted([*programs, *root.rglob("*.so")]):
        remedy = f"add the package that has it to those of {Path(__file__).name}"
        purpose = f"list the libraries of {user.relative_to(root)}"
        for line in _run([*listing, str(user)], purpose, remedy).splitlines():
            name, arrow, found = line.strip().partition(" => ")
            if not arrow or Path(name).name == _LOADER:  # without an arrow: the kernel's own
                continue
            source = Path(found.rpartition(" (")[0])
            if not source.is_relative_to(unpacked):
                raise Failure(
                    f"cannot find {name}, which {user.relative_to(root)} needs, in any package of "
                    "the image",
                    remedy,
                )
            place = root / _LIBRARY_DIRECTORIES[0] / name
            if not place.exists():
                shutil.copy2(source.resolve(), place)


def _assemble_stdlib(source: Path, root: Path) -> None:
    def dropped(directory: str, names: list[str]) -> set[str]:
        if Path(directory) == source:
            return {name for name in names if name in _STDLIB_DROPPED}
        return {name for name in names if name == "__pycache__" or _EXTENSIONS_DROPPED.match(name)}

    # The packages' links lead outside the trimmed tree; their targets take their place.
    shutil.copytree(source, root / _STDLIB, ignore=dropped, ignore_dangling_symlinks=True)
    shutil.copytree(
        _GUEST / _GUEST_PACKAGE,
        root / _STDLIB / _GUEST_PACKAGE,
        ignore=shutil.ignore_patterns("__pycache__"),
    )


def _compile(root: Path) -> None:
    """Python's byte code in place of its source."""
    # The guest's own interpreter compiles, whatever the host's version. Byte code alone starts
    # fastest.
    remedy = "the packages do not fit together: delete the image folder and run again"
    command = [
        *_guest_python(root), "-S", "-B", "-m", "compileall", "-q", "-b",
        "-s", str(root), "-p", "/", "--invalidation-mode", "unchecked-hash", str(root / _STDLIB),
    ]  # fmt: skip
    _run(command, "compile the guest's standard library", remedy, env=_python_environment(root))
    for path in (root / _STDLIB).rglob("*.py"):
        path.unlink()


def _check(root: Path, extras: list[str]) -> None:
    """Runs each function under the guest's interpreter on the host: a missing module shows here.
    Not those of another program: that may read files at fixed places, which only the guest has."""
    remedy = "a trimmed module is needed: see the lists of dropped modules in guest_image.py"
    there = [None, *(name for name in extras if EXTRAS[name].program is None)]
    requests = [
        {"function": name, "input": size}
        for name in functions.NAMES
        if functions.NEEDS.get(name) in there
        for size in functions.INPUTS
    ]
    said = _run(
        [*_guest_python(root), "-S", "-B", str(root / "function.py")],
        "try the guest's function",
        remedy,
        env=_python_environment(root),
        stdin="".join(json.dumps(request) + "\n" for request in requests),
    )
    replies = [json.loads(line) for line in said.splitlines()[1:]]
    for request, reply in itertools.zip_longest(requests, replies):
        if reply is None or not reply.get("ok"):
            raise Failure(f"the guest answers {request} on the host with {reply}", remedy)


def _guest_python(root: Path) -> list[str]:
    return [
        str(root / "lib64" / _LOADER),
        "--library-path",
        str(root / _LIBRARY_DIRECTORIES[0]),
        str(root / _PYTHON),
    ]


def _python_environment(root: Path) -> dict[str, str]:
    # A fixed hash seed fixes the order of sets, and so the bytes of the compiled modules.
    return {
        "PYTHONHOME": str(root / "usr"),
        "PYTHONHASHSEED": "0",
        "PATH": os.environ.get("PATH", ""),
    }


def _pack(root: Path, initramfs: Path) -> None:
    """Uncompressed: an emulated guest decompresses slower than QEMU loads a larger file."""
    with initramfs.open("wb") as out:
        archive = CpioWriter(out)
        archive.tree(root)
        # The kernel opens the console for /init before anything mounts /dev.
        archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        archive.finish()


def _only(paths, what: str) -> Path:
    found = list(paths)
    if len(found) != 1:
        raise Failure(
            f"expected one {what}, found {len(found)}", "delete the image folder and run again"
        )
    return found[0]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(
    command: list[str],
    purpose: str,
    remedy: str,
    *,
    cwd: Path | None = None,
    env=None,
    stdin: str = "",
) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise Failure(
            f"cannot {purpose}: {command[0]}: {error.strerror}", f"install {command[0]}"
        ) from error
    if done.returncode != 0:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise Failure(f"cannot {purpose}: {' '.join(command[:3])} ...: {reason}", remedy)
    return done.stdout
