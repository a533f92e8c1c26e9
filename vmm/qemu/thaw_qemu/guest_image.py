# SPDX-License-Identifier: Apache-2.0
"""Builds the guest's kernel and initramfs from Debian packages; nothing is installed on the host.

DIR/kernel, DIR/initramfs, DIR/image.json (what they were made from, and their SHA-256),
DIR/packages (the downloads). An image is up to date when image.json names the same recipe and both
files still have their digests; then nothing is done.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
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
_LIBRARIES = ("libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1")
_LIBRARY_DIRECTORIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_LOADER = "ld-linux-x86-64.so.2"
_PYTHON = "usr/bin/python3.11"
_STDLIB = "usr/lib/python3.11"

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
_GUEST = Path(__file__).resolve().parent.parent / "guest"
_GUEST_FILES = ("init", "function.py")
# Stands beside the standard library, so that it is compiled with it.
_GUEST_PACKAGE = "functions"


def build(output: Path) -> dict:
    """Builds the image in `output`, or finds it up to date: image.json's content and `built`."""
    recipe = _recipe()
    found = _up_to_date(output, recipe)
    if found is not None:
        return {**found, "built": False}
    packages = output / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    debs = _download(packages)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output) as scratch:
        unpacked = Path(scratch, "unpacked")
        for deb in debs:
            _run(
                ["dpkg", "-x", str(deb), str(unpacked)],
                "unpack a package",
                f"delete {deb} and run again",
            )
        root = Path(scratch, "root")
        _assemble(unpacked, root)
        _check(root)
        initramfs = Path(scratch, "initramfs")
        _pack(root, initramfs)
        kernel = _only(unpacked.glob("boot/vmlinuz-*"), "kernel in the kernel package")
        durable.publish(initramfs, output / "initramfs")
        durable.publish(kernel, output / "kernel")
    image = {
        "recipe": recipe,
        "packages": [deb.name for deb in debs],
        "kernel_sha256": _digest(output / "kernel"),
        "initramfs_sha256": _digest(output / "initramfs"),
        "kernel_bytes": (output / "kernel").stat().st_size,
        "initramfs_bytes": (output / "initramfs").stat().st_size,
    }
    durable.write_json(output / "image.json", image)
    return {**image, "built": True}


def files(image: Path) -> tuple[Path, Path]:
    """Kernel and initramfs of a built image."""
    for name in ("image.json", "kernel", "initramfs"):
        if not (image / name).is_file():
            raise Failure(
                f"cannot use the guest image {image}: it has no {name}",
                f"build it: thaw-qemu image --output {image}",
            )
    return image / "kernel", image / "initramfs"


def _recipe() -> str:
    """Digest of everything in this repository that shapes the image."""
    digest = hashlib.sha256()
    for path in (
        Path(__file__),
        Path(__file__).with_name("cpio.py"),
        *(_GUEST / name for name in _GUEST_FILES),
        *sorted((_GUEST / _GUEST_PACKAGE).glob("*.py")),
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


def _download(packages: Path) -> list[Path]:
    """The newest version of every package as files in `packages`; what is there is not fetched."""
    names = (*_PACKAGES, _kernel_package())
    remedy = "check the network and run apt-get update; the host must be Debian 12 on x86-64"
    # The cache belongs to whoever runs this, so apt's own sandbox user could not write there.
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *names]
    _run(command, "download the guest's packages", remedy, cwd=packages)
    return [_newest(packages, name) for name in names]


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


def _newest(packages: Path, name: str) -> Path:
    remedy = f"delete {packages} and run again"
    wanted = _run(["apt-cache", "policy", name], "look up a package's version", remedy)
    match = re.search(r"Candidate: (\S+)", wanted)
    version = match.group(1).replace(":", "%3a") if match else "?"
    return _only(
        packages.glob(f"{name}_{version}_*.deb"), f"file of package {name} {version} in {packages}"
    )


def _assemble(unpacked: Path, root: Path) -> None:
    """The guest's files: busybox, C library, CPython with a trimmed library, functions."""
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
    for library in _LIBRARIES:
        candidates = (unpacked / directory / library for directory in _LIBRARY_DIRECTORIES)
        source = _only((path for path in candidates if path.exists()), f"library {library}")
        shutil.copy2(source.resolve(), root / _LIBRARY_DIRECTORIES[0] / library)
    loader = unpacked / _LIBRARY_DIRECTORIES[0] / _LOADER
    shutil.copy2(loader.resolve(), root / "lib64" / _LOADER)
    _assemble_stdlib(unpacked / _STDLIB, root)
    for name in _GUEST_FILES:
        shutil.copy2(_GUEST / name, root / name)
    (root / "init").chmod(0o755)


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


def _check(root: Path) -> None:
    """Runs each function under the guest's interpreter on the host: a missing module shows here."""
    remedy = "a trimmed module is needed: see the lists of dropped modules in guest_image.py"
    names = sorted(path.stem for path in (_GUEST / _GUEST_PACKAGE).glob("[!_]*.py"))
    command = [*_guest_python(root), "-S", "-B", str(root / "function.py")]
    said = _run(
        command,
        "try the guest's function",
        remedy,
        env=_python_environment(root),
        stdin="".join(f'{{"function": "{name}"}}\n' for name in names),
    )
    replies = [json.loads(line) for line in said.splitlines()[1:]]
    for name, reply in itertools.zip_longest(names, replies):
        if reply is None or not reply.get("ok"):
            raise Failure(f"the guest's function {name} answers {reply} on the host", remedy)


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
