"""A vision-language model behind an OpenAI-compatible endpoint: ``POST <base URL>/chat/completions``.

What may pass is tried again: too many requests (429), timeouts (408), faults of the server (5xx) and of the connection,
after a wait that doubles, or as long as the server asks for by Retry-After; all requests together keep to a rate. The
key goes into the Authorization header and nowhere else; redirects are refused because they would carry it elsewhere.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import random
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from unihm.annotation.pace import Pace

MAX_REPLY = 1 << 20
"""Bytes of a response at most."""
TRIES = 5
"""How often a request is sent before it counts as failed."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # s; before the second try, and at most
_LONGEST_ASKED = 600.0  # s that Retry-After may ask for
_PASSING = (408, 425, 429)  # of the 4xx, those that are no fault of the request
_USELESS = (401, 402, 403, 404, 405)  # would be answered alike for every episode
_MAX_ANSWER = 2000  # tokens; five sentences take a hundred, models that think first take more
_SHOWN = 200  # characters of a server's message


class Refused(ValueError):
    """The endpoint does not serve us at all: no other request would fare better."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A model's reply."""

    text: str
    """What it says; empty where it says nothing."""
    tokens_in: int
    """As the server counted; 0 where it does not say."""
    tokens_out: int
    """Likewise."""


class Endpoint:
    """Sends conversations to one model."""

    def __init__(self, base_url: str, model: str, key: str, pace: Pace, *, timeout: float = 60.0):
        """Check what is given; nothing is sent.

        Args:
            base_url: For example ``https://api.openai.com/v1`` or ``http://localhost:8000/v1``.
            model: As the server calls it.
            key: Sent as a bearer token.
            pace: Shared by all threads.
            timeout: Seconds until a request counts as failed.

        Raises:
            ValueError: The URL is not one of a server, or the key cannot stand in a header.
        """
        self.url, self.model = check_url(base_url) + "/chat/completions", model
        if not key or not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("The API key is empty or holds characters that no key has.")  # and never show it
        self._key, self._pace, self._timeout = key, pace, timeout
        self._opener = urllib.request.build_opener(_NoRedirect)

    def complete(self, messages: Sequence[dict[str, Any]]) -> Completion:
        """The model's reply to a conversation.

        Raises:
            Refused: Nothing of this kind would be answered.
            ValueError: There is no usable answer after some tries.
        """
        body = {"model": self.model, "messages": list(messages), "max_completion_tokens": _MAX_ANSWER}
        data = json.dumps(body).encode()
        wait = _FIRST_WAIT
        for left in range(TRIES - 1, -1, -1):
            self._pace.turn()
            if self._pace.stopped:
                raise ValueError("stopped before it was sent.")
            try:
                return _completion(self._send(data))
            except _Passing as fault:
                if not left:
                    raise ValueError(f"{fault} ({TRIES} tries).") from fault
                if fault.wait is None:
                    self._pace.rest(wait * random.uniform(0.5, 1.0))  # apart, so that threads do not come back together
                    wait = min(2 * wait, _LONGEST_WAIT)
                elif fault.wait > _LONGEST_ASKED:
                    raise Refused(f"{fault}; it asks to wait {fault.wait:.0f} s. Try again later.") from fault
                else:
                    self._pace.hold(fault.wait)
        raise AssertionError("the last try returns or raises")

    def _send(self, data: bytes) -> bytes:
        """One request; the body of its response."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}", "User-Agent": "unihm"}
        request = urllib.request.Request(self.url, data=data, headers=headers, method="POST")
        until = time.monotonic() + self._timeout
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return _bounded(response, until)
        except urllib.error.HTTPError as error:
            with error:
                raise self._fault(error) from None
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts among them
            reason = getattr(error, "reason", None) or error
            raise _Passing(f"no answer from {self.url}: {self._clean(str(reason) or type(reason).__name__)}") from None

    def _fault(self, error: urllib.error.HTTPError) -> ValueError:
        """What an HTTP status means."""
        try:
            said = error.read(MAX_REPLY).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            said = ""
        message = f"{self.url} answers {error.code} {self._clean(_message(said) or str(error.reason))}"
        if error.code in _PASSING or error.code >= 500:
            return _Passing(message, _retry_after(error.headers.get("Retry-After")))
        if error.code in _USELESS or error.code < 400:
            return Refused(message + (" (redirects are not followed)" if error.code < 400 else ""))
        return ValueError(message)

    def _clean(self, text: str) -> str:
        """A server's words in one line, without the key if it repeats it."""
        line = " ".join(text.replace(self._key, "[key]").split())
        return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


class _Passing(ValueError):
    """A fault that may be gone at the next try."""

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait
        """Seconds that the server asks to wait."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Follow nothing: the status itself becomes the error."""
        return None


def check_url(base_url: str) -> str:
    """The base URL without a slash at its end.

    Raises:
        ValueError: It has no scheme http or https, no host, or holds a password or a query.
    """
    try:
        parts = urlsplit(base_url)
        _ = parts.port  # raises where it is no number
    except ValueError as error:
        raise ValueError(f"--base-url is not a URL: {error}.") from error
    if parts.username or parts.password:
        raise ValueError("--base-url holds a user or password; keys come from the environment.")  # and never show it
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"--base-url is '{base_url}', expected http:// or https://, for example http://localhost:8000/v1."
        )
    if parts.query or parts.fragment or not base_url.isascii() or any(c.isspace() for c in base_url):
        raise ValueError(f"--base-url is '{base_url}', expected scheme, host and path only.")
    return base_url.rstrip("/")


def is_private(base_url: str) -> bool:
    """Whether nobody on the way can read what is sent: it is encrypted, or stays on this machine."""
    parts = urlsplit(base_url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


def _bounded(response: Any, until: float) -> bytes:
    """The body of a response that is neither too long nor comes too slowly."""
    body = b""
    while part := response.read1(1 << 16):
        body += part
        if len(body) > MAX_REPLY:
            raise ValueError(f"the response is longer than {MAX_REPLY} bytes.")
        if time.monotonic() > until:
            raise TimeoutError("timed out")
    return body


def _completion(body: bytes) -> Completion:
    try:
        answer = json.loads(body)
        content = answer["choices"][0]["message"].get("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the response is not a chat completion.") from error
    usage = answer.get("usage")
    tokens = [usage.get(name) if isinstance(usage, dict) else 0 for name in ("prompt_tokens", "completion_tokens")]
    tokens_in, tokens_out = (count if isinstance(count, int) else 0 for count in tokens)
    return Completion(text=content if isinstance(content, str) else "", tokens_in=tokens_in, tokens_out=tokens_out)


def _message(said: str) -> str:
    """The words in an error's body, which is JSON of one of some shapes, or text."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return said
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and name in value:
            value = value[name]
    return value if isinstance(value, str) else said


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which states seconds or a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
