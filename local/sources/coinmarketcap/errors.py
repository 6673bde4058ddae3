"""The errors of the API by their code, and of what stands in front of it."""

from dataclasses import dataclass
from typing import Any

# code: (HTTP status, message), as documented; 1022 is not, it was seen on the keyless paths.
CODES = {
    400: (400, "Invalid parameter."),
    500: (500, "An internal server error occurred"),
    1001: (401, "This API Key is invalid."),
    1002: (401, "API key missing."),
    1003: (402, "Your API Key must be activated. Please go to pro.coinmarketcap.com/account/plan."),
    1004: (402, "Your API Key's subscription plan has expired."),
    1005: (403, "An API Key is required for this call."),
    1006: (403, "Your API Key subscription plan doesn't support this endpoint."),
    1007: (403, "This API Key has been disabled. Please contact support."),
    1008: (429, "You've exceeded your API Key's HTTP request rate limit. Rate limits reset every minute."),
    1009: (429, "You've exceeded your API Key's daily rate limit."),
    1010: (429, "You've exceeded your API Key's monthly rate limit."),
    1011: (429, "You've hit an IP rate limit."),
    1022: (429, "You've exceeded the rate limit of the public API."),
}
# The code that a fault of a status shows unless it names one.
USUAL = {400: 400, 401: 1001, 402: 1004, 403: 1006, 429: 1008}


@dataclass
class ApiError(Exception):
    """An answer without data. message: None = that of the code. retry_after: seconds, None = no such header."""

    code: int
    message: str | None = None
    retry_after: int | None = None
    http: int | None = None

    @property
    def status(self) -> int:
        return self.http or CODES.get(self.code, (500, ""))[0]

    @property
    def text(self) -> str:
        return self.message or CODES.get(self.code, (500, f"Error {self.code}"))[1]


@dataclass
class PlainError(Exception):
    """An answer of the layer in front of the API, without a status object."""

    status: int
    title: str
    message: str = ""

    def body(self) -> dict[str, Any]:
        return {"statusCode": self.status, "error": self.title, "message": self.message or self.title}


NOT_FOUND = PlainError(404, "Not Found")


def invalid(message: str) -> ApiError:
    return ApiError(400, message)
