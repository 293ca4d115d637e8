"""The emulator's HTTP side: the API's endpoints, the links, the control endpoint, the page."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import anyio
import anyio.to_thread
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mcp_server.emulator import contract
from mcp_server.emulator.bodies import download, read_body
from mcp_server.emulator.checks import decode_data_uri, read_reference, read_request
from mcp_server.emulator.contract import ApiError, Model, bad_request
from mcp_server.emulator.draw import draw_jpeg
from mcp_server.emulator.faults import Fault, Faults
from mcp_server.emulator.page import render_page
from mcp_server.emulator.store import Record, Store

_THUMBNAIL = 512
_PAGE_ROWS = 50
_DRAWING_AT_ONCE = 2

Abort = Callable[[Request], Awaitable[None]]


class EmulatorApp:
    """The endpoints over one store. `abort` closes a request's connection without a reply."""

    def __init__(
        self,
        *,
        abort: Abort,
        api_key: str | None = None,
        latency: float = 0.0,
        link_seconds: float = 86_400.0,
        faults: tuple[Fault, ...] = (),
        models: Sequence[Model] = contract.MODELS,
    ) -> None:
        self._abort = abort
        self._api_key = api_key
        self._latency = latency
        self.store = Store(link_seconds)
        self.faults = Faults()
        for fault in faults:
            self.faults.add(fault)
        self._drawing = anyio.CapacityLimiter(_DRAWING_AT_ONCE)
        self.asgi = Starlette(
            routes=[
                Route("/", self._page),
                *(Route(model.path, partial(self._generate, model), methods=["POST"]) for model in models),
                Route(contract.BALANCE_PATH, self._balance),
                Route("/pictures/{id}/{number}.jpg", self._picture),
                Route("/thumbnails/{id}/{number}.jpg", self._thumbnail),
                Route("/_emulator/faults", self._faults, methods=["GET", "POST", "DELETE"]),
                Route("/_emulator/requests", self._requests),
            ],
            exception_handlers={ApiError: _api_error, 404: _not_found, 405: _not_found},
            # Against web pages that reach loopback by a name of their own.
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        )

    async def _generate(self, model: Model, request: Request) -> Response:
        record = self.store.new_record(model.path)
        fault = self.faults.next()
        if fault and fault.drop == "before_body":
            record.status, record.reason = 499, "dropped before the body"
            await self._abort(request)
            return Response()
        try:
            self._authenticate(request)
            try:
                body = await read_body(request, model.most_references)
            except ClientDisconnect:
                record.status, record.reason = 499, "the client left before the end of the body"
                return Response()
            if fault and fault.replaces_reply and not fault.billed:
                record.wanted = replace(read_request(model, body), references=())
                return await self._misbehave(fault, request, record, Response())
            wanted = record.wanted = read_request(model, body)
            base = str(request.base_url).rstrip("/")
            for index, reference in enumerate(wanted.references):
                name = f"{model.references}[{index}]"
                record.thumbnails.append(await self._load(model, reference, name, base))
            # What is remembered is their thumbnails: a few requests of 100 MB would fill the memory.
            record.wanted = replace(wanted, references=())
            await anyio.sleep(self._latency)
            self.store.bill(record, wanted.images)
            links = [self.store.link(base, record, number + 1) for number in range(wanted.images)]
            reply = JSONResponse({"images": links})
            if fault:
                return await self._misbehave(fault, request, record, reply)
            record.status = reply.status_code
            return reply
        except ApiError as error:
            record.status, record.reason = error.status, f"{error.reason}: {error.message}"
            raise

    async def _misbehave(self, fault: Fault, request: Request, record: Record, honest: Response) -> Response:
        await anyio.sleep(fault.delay)
        if not fault.replaces_reply:
            record.status = honest.status_code
            return honest
        record.status, record.reason = fault.status or 200, fault.reason or f"fault: {fault.drop or 'body'}"
        if fault.drop == "mid_reply":
            return StreamingResponse(self._half(request), headers={"Content-Length": "1000"})
        if fault.drop:
            await self._abort(request)
            return Response()
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
        if fault.body is not None:
            return Response(fault.body, fault.status or 200, headers)
        status = fault.status or 200
        return JSONResponse(ApiError(status, fault.reason, fault.message).body(), status, headers)

    async def _half(self, request: Request) -> AsyncIterator[bytes]:
        yield b'{"images": ["ht'
        await self._abort(request)

    def _authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ApiError(401, "MISSING_API_KEY", "no API key in the Authorization header")
        # Without a key of its own it takes any, but for the ones that are meant to be wrong.
        legal = hmac.compare_digest(key.encode(), self._api_key.encode()) if self._api_key else True
        if not legal or (self._api_key is None and key.startswith("invalid")):
            raise ApiError(401, "INVALID_API_KEY", "the API key is not valid")

    async def _load(self, model: Model, reference: str, name: str, base: str) -> Any:
        if reference.startswith("data:"):
            data = decode_data_uri(model, reference, name)
        elif reference.startswith(f"{base}/pictures/"):
            data = await self._own_picture(reference.removeprefix(f"{base}/pictures/"), name)
        elif reference.startswith(("http://", "https://")):
            data = await download(reference, name)
        else:
            raise bad_request(f"{name}: neither a URL nor a data URI", "INVALID_IMAGE_FORMAT")
        work = partial(read_reference, model, data, name, _THUMBNAIL)
        return await anyio.to_thread.run_sync(work, limiter=self._drawing)

    async def _own_picture(self, path_and_query: str, name: str) -> bytes:
        path, _, query = path_and_query.partition("?")
        record_id, _, file = path.partition("/")
        number = file.removesuffix(".jpg")
        try:
            if not number.isdecimal() or len(number) > 3:
                raise bad_request("no such picture")
            record = self.store.picture(record_id, int(number), query)
        except ApiError as error:
            raise bad_request(f"{name}: can't be downloaded ({error.message})") from None
        return await self._draw(record, int(number))

    async def _draw(self, record: Record, number: int, scale: float = 1.0) -> bytes:
        wanted = record.wanted
        if wanted is None or not 1 <= number <= wanted.images:
            raise ApiError(404, "NoSuchKey", "no such picture")
        work = partial(draw_jpeg, wanted, number, tuple(record.thumbnails), scale)
        return await anyio.to_thread.run_sync(work, limiter=self._drawing)

    async def _picture(self, request: Request) -> Response:
        if "authorization" in request.headers:
            # As signed object stores do: the link is the authorization, a second one is an error.
            raise ApiError(400, "InvalidArgument", "only one way of authorization, and the link is one")
        number = _number(request)
        record = self.store.picture(request.path_params["id"], number, request.url.query)
        return Response(await self._draw(record, number), media_type="image/jpeg")

    async def _thumbnail(self, request: Request) -> Response:
        number = _number(request)
        record = self.store.thumbnail(request.path_params["id"], number)
        if record is None or record.wanted is None:
            raise ApiError(404, "NoSuchKey", "no such picture")
        whole = request.query_params.get("scale") == "1"
        longest = max(record.wanted.width, record.wanted.height)
        data = await self._draw(record, number, 1.0 if whole else _THUMBNAIL / longest)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "max-age=86400"})

    async def _balance(self, request: Request) -> Response:
        self._authenticate(request)
        names = ("availableBalance", "cashBalance", "creditLimit", "pendingCharges", "outstandingInvoices")
        return JSONResponse(
            dict.fromkeys(names, "0") | {"availableBalance": "100000", "cashBalance": "100000"}
        )

    async def _faults(self, request: Request) -> Response:
        if "origin" in request.headers:
            raise ApiError(403, "FORBIDDEN", "no web page may steer the emulator")
        if request.method == "DELETE":
            self.faults.clear()
        elif request.method == "POST":
            try:
                self.faults.add(Fault.model_validate_json(await read_body(request)))
            except ValidationError as error:
                problems = [
                    f"{'.'.join(map(str, one['loc']))} {one['msg'].removeprefix('Value error, ')}".strip()
                    for one in error.errors()
                ]
                return JSONResponse({"problems": problems}, 422)
        return JSONResponse([fault.model_dump(exclude_none=True) for fault in self.faults.in_force()])

    async def _requests(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "requests": self.store.requests,
                "billed_requests": self.store.billed_requests,
                "billed_images": self.store.billed_images,
                "recent": [record.summary() for record in self.store.recent(_PAGE_ROWS)],
            }
        )

    async def _page(self, _request: Request) -> Response:
        store = self.store
        return HTMLResponse(render_page(store.recent(_PAGE_ROWS), store.requests, store.billed_images))


def _number(request: Request) -> int:
    text = request.path_params["number"]
    if not text.isdecimal() or len(text) > 3:
        raise ApiError(404, "NoSuchKey", "no such picture")
    return int(text)


async def _api_error(_request: Request, error: Exception) -> Response:
    error = cast("ApiError", error)  # the only kind that it is registered for
    return JSONResponse(error.body(), error.status)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return JSONResponse(ApiError(404, "API_NOT_FOUND", "no such API").body(), 404)
