"""Calls of the simulated portal, for tests."""

from typing import Any

import requests

from local.sources import boston311

PACKAGE_ID = "8048697b-ad64-4bfc-b090-ee00169f2323"


def control(portal: boston311.Portal, **wish: Any) -> requests.Response:
    return requests.put(f"{portal.url}/_control", json=wish, timeout=10)


def action(portal: boston311.Portal, name: str, **parameters: str) -> requests.Response:
    return requests.get(f"{portal.url}/api/3/action/{name}", params=parameters, timeout=60)


def package(portal: boston311.Portal) -> dict[str, Any]:
    answer = action(portal, "package_show", id="311-service-requests").json()
    assert answer["success"] is True
    return dict(answer["result"])


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=60)
