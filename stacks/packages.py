"""Builds what Lambdas and Spark jobs carry, without Docker.

Dependencies come from hash-locked requirements through uv into `.build/<name>-<platform>-<lock hash>/`; packages are zips named by
their content, with fixed timestamps and sorted entries. Nothing is built twice, so a synthesis after `python -m stacks.packages`
needs neither network nor uv.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lake.contracts import COMPILED, compile_json
from lake.odcs import load_all

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"

Architecture = Literal["arm64", "x86_64"]
# uv knows no manylinux between 2014 (glibc 2.17), for which DuckDB has no wheels, and this; `_check_glibc` holds the true border.
_PLATFORMS: dict[Architecture, str] = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
_RUNTIME_GLIBC = (2, 26)  # of Amazon Linux 2, on which Lambda runs Python 3.11
_MACHINES: dict[str, Architecture] = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "AMD64": "x86_64"}

# `lake.odcs` and `lake.settings` belong to the workstation: they need YAML and the repository's folders.
_WORKSTATION = ("odcs.py", "settings.py")
# Services that a job may call; botocore describes 400 of them in 100 MB.
_JOB_SERVICES = ("s3", "sts", "dynamodb")
_DEPS_MARKER = "tributary-deps.txt"  # `lake.spark.deps` knows the archive by it
# manylinux2014, written beside manylinux_2_17 or alone, is older than every border here.
_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


class PackageError(Exception):
    """Dependencies are missing and could not be fetched; the text says what to do."""


@dataclass(frozen=True)
class Package:
    """A zip and the hash of what is in it (not of the zip's bytes: compressors differ)."""

    path: Path
    hash: str


def host_architecture() -> Architecture:
    """The architecture of this machine, as Lambda calls it. Raises PackageError for one that Lambda does not know."""
    machine = platform.machine()
    if machine not in _MACHINES:
        raise PackageError(f"no package can be built for a {machine} machine: Lambda knows arm64 and x86_64")
    return _MACHINES[machine]


def lambda_package(name: str, *, architecture: Architecture) -> Package:
    """`ingestion/<name>` with the kernel and its dependencies for `architecture`."""
    dependencies = _dependencies(_lock_of(name), platform_name=_PLATFORMS[architecture])
    sources = {
        **_kernel(),
        **_files(ROOT / "ingestion", prefix="ingestion", pattern="*.py"),
        **_files(ROOT / "ingestion" / name, prefix=f"ingestion/{name}", pattern="**/*.py"),
    }
    return _zip(f"lambda-{name}", sources, dependencies=dependencies)


def _lock_of(name: str) -> str:
    """The lock of `ingestion/<name>`: its own, if it has one."""
    own = f"ingestion-{name}"
    return own if (ROOT / "requirements" / f"{own}.txt").is_file() else "ingestion"


def jobs_code() -> Package:
    """The kernel with its Spark part, the compiled contracts and all jobs."""
    sources = {
        **_kernel(),
        **_files(ROOT / "lake" / "spark", prefix="lake/spark", pattern="**/*.py"),
        **_files(ROOT / "glue_scripts", prefix="glue_scripts", pattern="**/*.py"),
        **_files(ROOT / "spark_jobs", prefix="spark_jobs", pattern="**/*.py"),
        f"lake/{COMPILED}": compile_json(load_all()).encode(),
    }
    return _zip("jobs-code", sources)


def jobs_dependencies() -> Package:
    """The locked archive that `lake.spark.deps` unpacks: boto3, cut down to the services that jobs call."""
    dependencies = _dependencies("jobs", platform_name=_PLATFORMS["x86_64"])  # pure Python: any platform serves
    return _zip("jobs-deps", {_DEPS_MARKER: f"{dependencies.name}\n".encode()}, dependencies=dependencies)


def _kernel() -> dict[str, bytes]:
    files = _files(ROOT / "lake", prefix="lake", pattern="*.py")
    return {path: content for path, content in files.items() if Path(path).name not in _WORKSTATION}


def _files(directory: Path, *, prefix: str, pattern: str) -> dict[str, bytes]:
    return {f"{prefix}/{path.relative_to(directory).as_posix()}": path.read_bytes() for path in directory.glob(pattern)}


def _dependencies(name: str, *, platform_name: str) -> Path:
    """The directory with the wheels of `requirements/<name>.txt`, built if absent. Raises PackageError."""
    lock = ROOT / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    target = BUILD / f"{name}-{platform_name}-{digest}"
    if target.is_dir():
        return target
    BUILD.mkdir(exist_ok=True)
    beside_python = Path(sys.executable).parent / "uv"
    uv = str(beside_python) if beside_python.is_file() else shutil.which("uv")
    if uv is None:
        raise PackageError(f"{target.name} is not built and uv is missing: run `make setup`")
    with tempfile.TemporaryDirectory(dir=BUILD, ignore_cleanup_errors=True) as scratch:
        command = [uv, "pip", "install", "--quiet", "--target", scratch, "--python-platform", platform_name]
        command += ["--python-version", "3.11", "--only-binary", ":all:", "--require-hashes", "-r", str(lock)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PackageError(f"{target.name} could not be built; run `make setup` with a network. uv said:\n{done.stderr}")
        _check_glibc(Path(scratch))
        try:
            Path(scratch).rename(target)
        except OSError:  # another process was faster
            if not target.is_dir():
                raise
    return target


def _check_glibc(directory: Path) -> None:
    """Raises PackageError naming every wheel in `directory` that the runtime's C library is too old for."""
    newer = []
    for wheel in sorted(directory.glob("*.dist-info/WHEEL")):
        found = [(int(major), int(minor)) for major, minor in _GLIBC.findall(wheel.read_text())]
        if found and min(found) > _RUNTIME_GLIBC:
            newer.append(f"{wheel.parent.name.removesuffix('.dist-info')} (glibc {'.'.join(map(str, min(found)))})")
    if newer:
        raise PackageError(
            f"the Lambda runtime has glibc {'.'.join(map(str, _RUNTIME_GLIBC))}, too old for {', '.join(newer)}: "
            "lock an older version in requirements/"
        )


def _zip(name: str, sources: dict[str, bytes], *, dependencies: Path | None = None) -> Package:
    content = {**_pruned(dependencies), **sources} if dependencies else sources
    summary = hashlib.sha256()
    for path in sorted(content):
        summary.update(path.encode() + b"\0" + hashlib.sha256(content[path]).digest())
    digest = summary.hexdigest()
    target = BUILD / f"{name}-{digest[:16]}.zip"
    if not target.is_file():
        BUILD.mkdir(exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=BUILD, suffix=".part")
        with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(content):
                entry = zipfile.ZipInfo(path, date_time=_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o100644 << 16  # Lambda runs as another user: everybody must be able to read
                archive.writestr(entry, content[path])
        Path(scratch).replace(target)
    return Package(path=target, hash=digest)


def _pruned(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    relative = ((path.relative_to(directory), path) for path in files)
    return {name.as_posix(): path.read_bytes() for name, path in relative if _is_needed(name.parts)}


def _is_needed(parts: Iterable[str]) -> bool:
    first, *rest = parts
    if first in ("bin", ".lock", "__pycache__") or "__pycache__" in rest:
        return False
    if first.endswith(".dist-info"):
        return rest == ["METADATA"]
    if first == "boto3" and rest[:1] == ["data"]:
        return False  # resources; the kernel makes clients
    if first == "botocore" and rest[:1] == ["data"]:
        return len(rest) == 2 or rest[1] in _JOB_SERVICES
    return True


def main() -> None:
    """Fetches the dependencies of every package, for this machine and for AWS."""
    for architecture in sorted({host_architecture(), "arm64"}):
        for lock in sorted((ROOT / "requirements").glob("ingestion*.txt")):
            print(_dependencies(lock.stem, platform_name=_PLATFORMS[architecture]).name)
    print(_dependencies("jobs", platform_name=_PLATFORMS["x86_64"]).name)


if __name__ == "__main__":
    try:
        main()
    except PackageError as error:
        sys.exit(str(error))
