"""What Lambdas and jobs carry."""

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lake.jobs import JOBS, Job
from lake.odcs import load_all
from stacks import packages

ROOMS = ("lake", "glue_scripts", "spark_jobs")


def names(package: packages.Package) -> set[str]:
    with zipfile.ZipFile(package.path) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("name", ["boston311", "control"])
def test_a_lambda_carries_only_what_it_needs(name: str) -> None:
    carried = names(packages.lambda_package(name, architecture="arm64"))
    assert f"ingestion/{name}/handler.py" in carried
    assert {path.split("/")[1] for path in carried if path.startswith("ingestion/") and path.count("/") == 2} == {name}
    assert not any(path.startswith(("lake/spark/", "stacks/", "local/", "cli/")) for path in carried)
    assert not any(path.startswith(("boto3/", "botocore/")) for path in carried)  # in Lambda's runtime


@pytest.mark.parametrize("name", ["boston311", "control"])
def test_a_lambda_can_be_imported_from_its_package_alone(name: str, tmp_path: Path) -> None:
    package = packages.lambda_package(name, architecture=packages.host_architecture())
    with zipfile.ZipFile(package.path) as archive:
        archive.extractall(tmp_path)
    # -I: neither this repository nor its environment; boto3 is what Lambda itself brings.
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import ingestion.{name}.handler as h; print(h.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


def test_jobs_carry_code_and_compiled_contracts() -> None:
    package = packages.jobs_code()
    carried = names(package)
    rooms = ("glue_scripts", "spark_jobs", "lake/spark")
    modules = {p.relative_to(packages.ROOT).as_posix() for room in rooms for p in (packages.ROOT / room).rglob("*.py")}
    assert {"glue_scripts/boston311/clocks.py", "glue_scripts/boston311_silver.py", "lake/spark/session.py"} <= modules <= carried
    assert not any(path.startswith(("ingestion/", "stacks/", "local/", "cli/")) for path in carried)
    assert not {"lake/odcs.py", "lake/settings.py"} & carried
    with zipfile.ZipFile(package.path) as archive:
        assert set(json.loads(archive.read("lake/contracts.json"))) == set(load_all())


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.name)
def test_a_job_finds_all_its_modules_in_what_it_carries(job: Job, tmp_path: Path) -> None:
    """The script alone, as the service starts it, with the archives on its path; pyspark and delta are the service's own."""
    carried = [str(packages.jobs_code().path), str(packages.jobs_dependencies().path)]
    script = tmp_path / "script.py"
    script.write_bytes((packages.ROOT / job.script).read_bytes())
    code = f"""import runpy, sys
sys.path[:0] = {carried!r}
runpy.run_path({str(script)!r}, run_name="imported")
print([m.__file__ for m in sys.modules.values() if m.__name__.split(".")[0] in {ROOMS!r} and m.__file__])"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = ast.literal_eval(done.stdout)
    assert found
    assert all(path.startswith(carried[0]) for path in found), found


def test_the_archive_of_dependencies_is_marked_and_cut_down() -> None:
    package = packages.jobs_dependencies()
    carried = names(package)
    assert "tributary-deps.txt" in carried
    services = {path.split("/")[2] for path in carried if path.startswith("botocore/data/") and path.count("/") > 2}
    assert services == {"s3", "sts", "dynamodb"}
    assert {"botocore/data/endpoints.json", "botocore/data/_retry.json", "botocore/cacert.pem"} <= carried
    assert package.path.stat().st_size < 3_000_000


def test_equal_content_gives_equal_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = packages.jobs_code()
    first = once.path.read_bytes()
    monkeypatch.setattr(packages, "BUILD", tmp_path)
    again = packages.jobs_code()
    assert (again.hash, again.path.name) == (once.hash, once.path.name)
    assert again.path.read_bytes() == first


def test_what_is_built_is_not_built_again() -> None:
    before = packages.jobs_code().path.stat().st_mtime_ns
    assert packages.jobs_code().path.stat().st_mtime_ns == before


def test_missing_dependencies_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "BUILD", tmp_path)
    monkeypatch.setattr(packages.shutil, "which", lambda _name: None)
    monkeypatch.setattr(packages.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(packages.PackageError, match="make setup"):
        packages.jobs_dependencies()
