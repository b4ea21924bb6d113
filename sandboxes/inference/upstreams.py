"""Where answers come from: a provider over HTTP, behind the same small interface as the rehearsal model."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import aiohttp
from yarl import URL

from agents.errors import LogosError
from sandboxes.inference.addresses import endpoint
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.failures import CUT_OFF, UNREACHABLE, WRONG_ADDRESS, Failure, ProviderError
from sandboxes.inference.requests import ModelRequest
from sandboxes.inference.wires import of_kind

# A pooled connection that the provider closed meanwhile fails at once and unanswered; within this time one
# more attempt on a fresh connection cannot repeat a paid answer.
_STALE_WITHIN_S = 1.0
_RECONNECT_PAUSE_S = 0.3
_LARGE = 1024 * 1024  # above it aiohttp wants a file rather than bytes


class Answer(Protocol):
    """An answer that has begun. ``close`` without having read to the end aborts it."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The next bytes as they come, b"" at the end. Raises ProviderError if it breaks off."""
        ...

    def close(self) -> None: ...


class Upstream(Protocol):
    """One kind of provider."""

    async def open(self, target: RouteTarget, request: ModelRequest) -> Answer:
        """Send the request and return once the answer's headers are there, whatever its status.
        Raises ProviderError if there is no answer. Time limits are the caller's."""
        ...

    async def close(self) -> None: ...


def open_session() -> aiohttp.ClientSession:
    """A session for model traffic: pooled, without time limits of its own (the relay has them), without cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_read=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Otherwise ~/.netrc of whoever runs Logos would be read for every call.
        trust_env=False,
    )


class HttpUpstream:
    """Providers over HTTP, in either wire. The session is opened on the loop of the first call."""

    def __init__(self, session_factory: Callable[[], aiohttp.ClientSession] = open_session) -> None:
        self._open_session = session_factory
        self._session: aiohttp.ClientSession | None = None

    async def open(self, target: RouteTarget, request: ModelRequest) -> Answer:
        url = _url(target.base_url, of_kind(target.kind).endpoint)
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if request.streaming else "application/json",
            "Accept-Encoding": "identity",  # the tap reads the bytes as they pass
        }
        headers |= dict(request.headers) | credentials(target.kind, target.api_key)
        if self._session is None:
            self._session = self._open_session()
        return HttpAnswer(await self._post(self._session, url, headers, request.payload))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(
        self, session: aiohttp.ClientSession, url: URL, headers: dict[str, str], payload: bytes
    ) -> aiohttp.ClientResponse:
        began = asyncio.get_running_loop().time()
        for is_last in (False, True):
            data = io.BytesIO(payload) if len(payload) > _LARGE else payload
            try:
                return await session.post(url, data=data, headers=headers, allow_redirects=False)
            except (aiohttp.ClientError, ValueError, OSError) as error:
                soon = asyncio.get_running_loop().time() - began < _STALE_WITHIN_S
                if is_last or not soon or not _may_pass(error):
                    raise ProviderError(why(error), detail=f"{type(error).__name__}: {error}") from error
                if isinstance(error, aiohttp.ClientConnectorError):
                    await asyncio.sleep(_RECONNECT_PAUSE_S)
        raise AssertionError("unreachable")


class HttpAnswer:
    """A provider's answer, read as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderError(CUT_OFF, detail=f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        # Returns the connection to the pool if the answer was read to its end, else closes it.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def why(error: BaseException) -> Failure:
    """What a failed attempt to reach a provider means, in a sentence without internals."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return replace(
            UNREACHABLE,
            sentence="The model provider's certificate is not trusted.",
            action="Check the address, or install the provider's certificate authority on this machine.",
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return replace(UNREACHABLE, sentence="The model provider did not speak TLS at this address.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return replace(UNREACHABLE, sentence="The model provider's host name is not known.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return replace(UNREACHABLE, sentence="The model provider cannot be reached: nothing answers at its address.")
    if isinstance(error, aiohttp.InvalidURL):
        return replace(WRONG_ADDRESS, sentence="The model provider's address is not a web address.")
    if isinstance(error, aiohttp.ClientResponseError):  # something answered, but not in HTTP
        return WRONG_ADDRESS
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | OSError):
        return replace(CUT_OFF, sentence="The model provider closed the connection without an answer.")
    return UNREACHABLE


def _may_pass(error: BaseException) -> bool:
    """Whether one more attempt, at once, has a chance and harms nothing."""
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorDNSError):
        return False
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)


def credentials(kind: str, api_key: str) -> dict[str, str]:
    """The header in which a provider of this kind wants its key; none without a key."""
    if not api_key:
        return {}
    return {"x-api-key": api_key} if kind == "anthropic" else {"Authorization": f"Bearer {api_key}"}


_urls: dict[tuple[str, str], URL] = {}


def _url(base_url: str, name: str) -> URL:
    url = _urls.get((base_url, name))
    if url is None:
        try:
            url = URL(endpoint(base_url, name))
        except (LogosError, ValueError) as error:
            raise ProviderError(why(aiohttp.InvalidURL(base_url)), detail=str(error)) from error
        if len(_urls) > 256:
            _urls.clear()
        _urls[base_url, name] = url
    return url
