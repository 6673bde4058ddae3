"""Compiled wheels of a Lambda must run on the C library that its runtime has."""

from pathlib import Path

import pytest

from stacks import packages


def wheel(directory: Path, name: str, *tags: str) -> None:
    info = directory / f"{name}.dist-info"
    info.mkdir()
    (info / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: cp311-cp311-{tag}\n" for tag in tags))


def test_wheels_that_the_runtime_can_load_pass(tmp_path: Path) -> None:
    wheel(tmp_path, "pure-1.0", "any")
    wheel(tmp_path, "old-1.0", "manylinux2014_aarch64")
    wheel(tmp_path, "older-1.0", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
    wheel(tmp_path, "duckdb-1.5.5", "manylinux_2_26_aarch64", "manylinux_2_28_aarch64")
    packages._check_glibc(tmp_path)


def test_a_wheel_for_a_newer_c_library_is_refused_by_name(tmp_path: Path) -> None:
    wheel(tmp_path, "psycopg2_binary-2.9.13", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
    with pytest.raises(packages.PackageError, match=r"glibc 2\.26, too old for psycopg2_binary-2\.9\.13 \(glibc 2\.27\)"):
        packages._check_glibc(tmp_path)


def test_a_lambda_with_a_lock_of_its_own_takes_it_and_the_others_share_one() -> None:
    assert packages._lock_of("coins") == "ingestion-coins"
    assert packages._lock_of("control") == packages._lock_of("boston311") == "ingestion"
