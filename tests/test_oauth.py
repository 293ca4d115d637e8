"""OAuth against a real issuer on loopback: which tokens are taken, and how often it is asked for its keys."""

import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.server.auth.provider import TokenVerifier
from starlette.applications import Starlette

from mcp_server.http.issuer import (
    AGAIN_SECONDS,
    ALGORITHMS,
    FRESH_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    IssuerKeys,
    IssuerUnavailable,
)
from mcp_server.http.oauth import (
    LONGEST_TOKEN,
    OAuthVerifier,
    metadata_routes,
    metadata_url,
    resources_of,
)
from tests.issuer import AUDIENCE, Broken, Issuer, Key, private_key

pytestmark = pytest.mark.anyio

SSE_AUDIENCE = AUDIENCE.replace("/mcp", "/sse")


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def running_issuer() -> AsyncIterator[Issuer]:
    async with Issuer().serving() as issuer:
        yield issuer


@pytest.fixture
def issuer(running_issuer: Issuer) -> Issuer:
    running_issuer.reset()
    return running_issuer


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@asynccontextmanager
async def verifying(
    issuer: Issuer, clock: Callable[[], float] = time.monotonic, **options: Any
) -> AsyncIterator[OAuthVerifier]:
    verifier = OAuthVerifier(
        IssuerKeys(issuer.issuer, clock=clock, **options), audiences=(AUDIENCE, SSE_AUDIENCE)
    )
    try:
        yield verifier
    finally:
        await verifier.aclose()


@pytest.fixture
async def verifier(issuer: Issuer, clock: Seconds) -> AsyncIterator[OAuthVerifier]:
    async with verifying(issuer, clock) as verifier:
        yield verifier


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def coded(value: Any) -> str:
    """A part of a token."""
    return b64(json.dumps(value).encode())


def claims(issuer: Issuer, **changes: Any) -> dict[str, Any]:
    return {"iss": issuer.issuer, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 300} | changes


async def test_what_a_good_token_says_of_its_bearer_is_read(issuer: Issuer, verifier: TokenVerifier) -> None:
    exp = int(time.time()) + 60
    token = issuer.token(sub="ann", client_id="cli", scope="images:make images:list", exp=exp, email="a@b.c")
    access = await verifier.verify_token(token)
    assert access is not None
    assert (access.client_id, access.subject, access.claims) == ("cli", "ann", {"iss": issuer.issuer})
    assert access.scopes == ["images:make", "images:list"]
    assert (access.expires_at, access.resource, access.token) == (exp, AUDIENCE, token)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_every_algorithm_with_a_public_key_is_taken(
    algorithm: str, issuer: Issuer, verifier: OAuthVerifier
) -> None:
    assert algorithm[:2] in ("RS", "PS", "ES", "Ed")
    issuer.keys = [Key("old"), Key("new", algorithm, number=1, members={"alg": None, "use": None})]
    assert await verifier.verify_token(issuer.token(issuer.keys[1]))


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_types_of_access_tokens_are_taken(
    kind: str | None, issuer: Issuer, verifier: OAuthVerifier
) -> None:
    assert await verifier.verify_token(issuer.token(headers={"typ": kind}))


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", 7, ["JWT"]])
async def test_jwts_of_other_types_are_refused(kind: Any, issuer: Issuer, verifier: OAuthVerifier) -> None:
    key: Key = issuer.keys[0]
    token = jwt.api_jws.encode(
        json.dumps(claims(issuer)).encode(), key.private, "RS256", headers={"kid": key.id, "typ": kind}
    )
    assert await verifier.verify_token(token) is None


@pytest.mark.parametrize(
    ("changes", "client", "subject"),
    [
        ({"client_id": "cli", "azp": "other"}, "cli", "ann"),
        ({"azp": "cli"}, "cli", "ann"),
        ({"client_id": 7, "azp": ["cli"]}, "", "ann"),
        ({"sub": None, "azp": "cli"}, "cli", None),
        ({"sub": "", "azp": "cli"}, "cli", None),
    ],
)
async def test_a_token_names_its_client_its_subject_or_both(
    changes: dict[str, Any], client: str, subject: str | None, issuer: Issuer, verifier: OAuthVerifier
) -> None:
    access = await verifier.verify_token(issuer.token(**changes))
    assert access is not None
    assert (access.client_id, access.subject) == (client, subject)


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({}, []),
        ({"scope": "a  b"}, ["a", "b"]),
        ({"scp": "a b"}, ["a", "b"]),
        ({"scp": ["a", "b"]}, ["a", "b"]),
        ({"scp": ["a", 7, None]}, ["a"]),
        ({"scope": {"a": 1}, "scp": 7}, []),
    ],
)
async def test_scopes_are_read_from_either_claim(
    changes: dict[str, Any], scopes: list[str], issuer: Issuer, verifier: OAuthVerifier
) -> None:
    access = await verifier.verify_token(issuer.token(**changes))
    assert access is not None
    assert access.scopes == scopes


@pytest.mark.parametrize("audience", [SSE_AUDIENCE, [SSE_AUDIENCE], ["https://other.example", SSE_AUDIENCE]])
async def test_any_of_the_audiences_will_do(audience: Any, issuer: Issuer, verifier: OAuthVerifier) -> None:
    access = await verifier.verify_token(issuer.token(aud=audience))
    assert access is not None
    assert access.resource == SSE_AUDIENCE


async def test_a_clock_a_little_ahead_of_ours_is_forgiven(issuer: Issuer, verifier: OAuthVerifier) -> None:
    soon = int(time.time()) + 20
    assert await verifier.verify_token(issuer.token(nbf=soon, iat=soon))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": 0},
        {"exp": "just now"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"nbf": int(time.time()) + 3600},
        {"nbf": "soon"},
        {"iat": int(time.time()) + 3600},
        {"iss": None},
        {"iss": "https://evil.example"},
        {"iss": "/"},  # added to the right one
        {"aud": None},
        {"aud": "https://other.example/mcp"},
        {"aud": AUDIENCE + "/"},
        {"aud": AUDIENCE.upper()},
        {"aud": [AUDIENCE, 7]},
        {"aud": {AUDIENCE: 1}},
        {"aud": []},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": None, "client_id": ""},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(
    changes: dict[str, Any], issuer: Issuer, verifier: OAuthVerifier
) -> None:
    if changes.get("iss") == "/":
        changes = {"iss": issuer.issuer + "/"}
    if changes.get("exp") == "just now":  # when this runs, not when it was collected
        changes = {"exp": int(time.time()) - 1}
    assert await verifier.verify_token(issuer.token(**changes)) is None
    assert await verifier.verify_token(issuer.token())


async def test_a_token_that_nobody_signed_is_refused_in_every_spelling(
    issuer: Issuer, verifier: OAuthVerifier
) -> None:
    body = coded(claims(issuer))
    for name in ("none", "None", "NONE", "nOnE", "", None, 0, ["RS256"], {"RS256": 1}):
        head = coded({"alg": name, "kid": "one"})
        assert await verifier.verify_token(f"{head}.{body}.") is None
    missing = coded({"kid": "one"})
    assert await verifier.verify_token(f"{missing}.{body}.") is None
    assert not issuer.requests  # none of them was worth a question


async def test_the_public_key_is_no_shared_secret(issuer: Issuer, verifier: OAuthVerifier) -> None:
    key: Key = issuer.keys[0]
    public = key.private.public_key()
    key.members = {"alg": None}
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(key.public).encode(),
        base64.urlsafe_b64decode(key.public["n"] + "=="),
    ):
        for algorithm in ("HS256", "HS384", "HS512"):
            head = coded({"alg": algorithm, "kid": "one"})
            signed = f"{head}.{coded(claims(issuer))}"
            hashed = jwt.get_algorithm_by_name(algorithm)
            signature = hashed.sign(signed.encode(), secret)
            assert await verifier.verify_token(f"{signed}.{b64(signature)}") is None
    assert await verifier.verify_token(issuer.token())


async def test_a_shared_secret_among_the_keys_is_left_out(issuer: Issuer, verifier: OAuthVerifier) -> None:
    secret = b"x" * 64
    for algorithm in ("HS256", "RS256", None):
        issuer.keys = [{"kty": "oct", "k": b64(secret), "kid": "shared", "alg": algorithm}]
        token = jwt.encode(claims(issuer), secret, "HS256", headers={"kid": "shared"})
        assert await verifier.verify_token(token) is None
        forged = coded({"alg": "RS256", "kid": "shared"}) + token[token.index(".") :]
        assert await verifier.verify_token(forged) is None


@pytest.mark.parametrize("name", ["jwk", "jku", "x5c", "x5u"])
async def test_a_key_that_the_token_itself_brings_is_not_used(
    name: str, issuer: Issuer, verifier: OAuthVerifier
) -> None:
    forger = Key("one", number=9)
    url = f"{issuer.base}/evil"
    brought = {"jwk": forger.public, "jku": url, "x5u": url, "x5c": ["MIIB"]}
    for key_id in ("one", "nine"):
        token = issuer.token(forger, headers={name: brought[name], "kid": key_id})
        assert await verifier.verify_token(token) is None
    assert issuer.requests["/evil"] == 0


async def test_a_token_of_another_key_or_another_of_the_issuers_keys_is_refused(
    issuer: Issuer, verifier: OAuthVerifier
) -> None:
    issuer.keys = [Key("one"), Key("two", number=1)]
    assert await verifier.verify_token(issuer.token(Key("one", number=9))) is None
    assert await verifier.verify_token(issuer.token(Key("two", number=0))) is None
    assert await verifier.verify_token(issuer.token(Key("three"))) is None
    assert await verifier.verify_token(issuer.token(issuer.keys[1]))


@pytest.mark.parametrize(
    "members",
    [
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "HS256"},
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"key_ops": None, "kty": "EC"},
        {"kty": "oct"},
        {"kty": None},
        {"kid": "other"},
        {"kid": None},
        {"n": None},
        {"n": 7},
        {"n": "!"},
        {"n": ""},
        {"e": "AA"},
        {"crv": "P-256"},
    ],
    ids=str,
)
async def test_a_key_serves_only_for_what_the_issuer_says(
    members: dict[str, Any], issuer: Issuer, verifier: OAuthVerifier
) -> None:
    issuer.keys = [Key(members=members), "no key", None]
    assert await verifier.verify_token(issuer.token()) is None


async def test_a_key_that_may_verify_is_used(issuer: Issuer, verifier: OAuthVerifier) -> None:
    issuer.keys = [Key(members={"key_ops": ["verify"], "use": None})]
    assert await verifier.verify_token(issuer.token())


async def test_a_curve_is_good_for_its_own_algorithm_only(issuer: Issuer, verifier: OAuthVerifier) -> None:
    key = Key("one", "ES256", members={"alg": None})
    issuer.keys = [key]
    head = coded({"alg": "ES384", "kid": "one"})
    signed = f"{head}.{coded(claims(issuer))}"
    signature = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), key.private)
    assert await verifier.verify_token(f"{signed}.{b64(signature)}") is None
    bitcoin = jwt.encode(
        claims(issuer), ec.generate_private_key(ec.SECP256K1()), "ES256K", headers={"kid": "one"}
    )
    assert await verifier.verify_token(bitcoin) is None


async def test_a_key_too_short_to_be_safe_is_refused(issuer: Issuer, verifier: OAuthVerifier) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - refused
    public = jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key(), as_dict=True)
    issuer.keys = [{"kid": "one", **public, "key_ops": ["verify"]}]
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(claims(issuer), short, "RS256", headers={"kid": "one"})
    assert await verifier.verify_token(token) is None


async def test_a_token_without_a_key_id_is_taken_if_only_one_key_fits(
    issuer: Issuer, verifier: OAuthVerifier, clock: Seconds
) -> None:
    issuer.keys = [
        Key(members={"kid": None}),
        Key("curve", "ES256"),
        Key("box", number=2, members={"use": "enc"}),
    ]
    anonymous = jwt.encode(claims(issuer), private_key("RS256"), "RS256")
    assert await verifier.verify_token(anonymous)
    issuer.keys.append(Key("two", number=1))
    clock.now += FRESH_SECONDS + 1
    assert await verifier.verify_token(anonymous) is None


async def test_a_token_may_be_8_kb_long_but_no_longer(issuer: Issuer, verifier: OAuthVerifier) -> None:
    room = LONGEST_TOKEN - len(issuer.token(pad=""))
    long = issuer.token(pad="x" * (room * 3 // 4 - 2))
    assert LONGEST_TOKEN - 8 < len(long) <= LONGEST_TOKEN
    assert await verifier.verify_token(long)
    assert await verifier.verify_token(issuer.token(pad="x" * room)) is None


async def test_what_is_no_token_is_refused_without_a_question(
    issuer: Issuer, verifier: OAuthVerifier
) -> None:
    good = issuer.token()
    head, body, signature = good.split(".")
    rest = f"{body}.{signature}"
    for wrong in (
        *("", ".", "..", "...", "x", "a.b.c", "é.é.é", "\ud800", "\0", good[:20], "." * 8000),
        *(f"{coded([])}.{rest}", f"{coded(None)}.{rest}", f"{head[:-3]}.{rest}"),
        f"{b64(b'[' * 4000)}.{rest}",
        f"{coded({'alg': 'RS256', 'kid': 7})}.{rest}",
        f"{coded({'alg': 'RS256', 'kid': 'one', 'crit': ['x'], 'x': 1})}.{rest}",
    ):
        assert await verifier.verify_token(wrong) is None
    assert not issuer.requests
    detached = coded({"alg": "RS256", "kid": "one", "crit": ["b64"], "b64": False})
    assert await verifier.verify_token(f"{detached}..{signature}") is None


async def test_a_token_changed_in_any_place_is_refused(issuer: Issuer, verifier: OAuthVerifier) -> None:
    good = issuer.token(Key(algorithm="ES256"))
    issuer.keys = [Key(algorithm="ES256")]
    assert await verifier.verify_token(good)
    for place in range(0, len(good), 7):
        other = "A" if good[place] != "A" else "B"
        assert await verifier.verify_token(good[:place] + other + good[place + 1 :]) is None
    head, body, _ = good.split(".")
    for signature in ("", "AA", b64(b"\0" * 64), b64(b"\xff" * 64), b64(b"\0" * 4000)):
        assert await verifier.verify_token(f"{head}.{body}.{signature}") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50)  # the first makes keys
@given(
    head=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64"]), JSON),
    body=st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "scope", "azp"]), JSON
    ),
    key=st.dictionaries(st.sampled_from(["kty", "kid", "alg", "use", "key_ops", "crv", "n", "e"]), JSON),
)
async def test_whatever_a_token_and_a_key_hold_is_answered_and_never_a_fault(
    head: dict[str, Any], body: dict[str, Any], key: dict[str, Any]
) -> None:
    keys = [{**Key().public, **key}, {**Key("c", "ES256").public, **key, "crv": "P-256", "kty": "EC"}]
    network = httpx.MockTransport(lambda _: httpx.Response(200, text=json.dumps({"keys": keys})))
    with_keys = IssuerKeys("https://auth.example", "https://auth.example/keys", transport=network)
    verifier = OAuthVerifier(with_keys, (AUDIENCE,))
    plain = {"alg": "RS256", "kid": keys[0]["kid"]}
    good = {"iss": "https://auth.example", "aud": AUDIENCE, "sub": "ann", "exp": time.time() + 99}
    for header, payload in ((plain | head, good), (plain, good | body), (plain | head, good | body)):
        signed = f"{coded(header)}.{coded(payload)}"
        signature = jwt.get_algorithm_by_name("RS256").sign(signed.encode(), private_key("RS256"))
        access = await verifier.verify_token(f"{signed}.{b64(signature)}")
        assert access is None or access.resource == AUDIENCE


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", "/.well-known/oauth-authorization-server"),
        ("", "/.well-known/openid-configuration"),
        ("/", "/.well-known/openid-configuration"),
        ("/realms/a", "/.well-known/oauth-authorization-server/realms/a"),
        ("/realms/a", "/.well-known/openid-configuration/realms/a"),
        ("/realms/a", "/realms/a/.well-known/openid-configuration"),
        ("/tenant/v2.0/", "/tenant/v2.0/.well-known/openid-configuration"),
    ],
)
async def test_the_metadata_is_found_wherever_issuers_have_it(path: str, found: str) -> None:
    async with Issuer(path).serving() as issuer, verifying(issuer) as verifier:
        issuer.metadata_paths = {found}
        assert await verifier.verify_token(issuer.token())
        assert issuer.requests[found] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "/"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://auth.example.com/keys"},
        {"jwks_uri": "http://127.0.0.1.evil.example/keys"},
        {"jwks_uri": "https://user:hunter2@127.0.0.1/keys"},
        {"jwks_uri": "file:///etc/keys"},
        {"jwks_uri": "https://[/keys"},
        {"jwks_uri": ["https://auth.example.com/keys"]},
        {"jwks_uri": "https://" + "a" * 64 + ".example/keys"},  # a label that no resolver takes
        {"jwks_uri": "https://127.0.0.1:1/keys?\0"},
    ],
    ids=str,
)
async def test_metadata_of_another_issuer_or_with_an_unsafe_place_of_keys_is_not_used(
    changes: dict[str, Any], issuer: Issuer, verifier: OAuthVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    if changes.get("issuer") == "/":
        changes = {"issuer": issuer.issuer + "/"}
    issuer.metadata |= changes
    with pytest.raises(IssuerUnavailable):
        await verifier.verify_token(issuer.token())
    assert issuer.asked == 0
    assert "hunter2" not in caplog.text


async def test_a_place_of_keys_that_is_given_needs_no_metadata(issuer: Issuer) -> None:
    issuer.metadata_paths = set()
    async with verifying(issuer, jwks_url=f"{issuer.base}/keys") as verifier:
        assert await verifier.verify_token(issuer.token())
    assert issuer.requests == {"/keys": 1}


async def test_the_keys_are_asked_for_once_by_all_who_need_them(
    issuer: Issuer, verifier: OAuthVerifier
) -> None:
    good = []

    async def check() -> None:
        good.append(bool(await verifier.verify_token(issuer.token())))

    issuer.held = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(check)
        await anyio.wait_all_tasks_blocked()
        issuer.held.set()
    assert good == [True] * 50
    assert issuer.asked == 1


async def test_who_leaves_takes_the_question_of_the_others_not_away(
    issuer: Issuer, verifier: OAuthVerifier
) -> None:
    issuer.held = anyio.Event()
    async with anyio.create_task_group() as leaving:
        leaving.start_soon(verifier.verify_token, issuer.token())
        await anyio.wait_all_tasks_blocked()
        leaving.cancel_scope.cancel()
    issuer.held.set()
    assert await verifier.verify_token(issuer.token())
    assert issuer.asked == 1


async def test_keys_are_kept_for_ten_minutes_and_then_asked_for_again(
    issuer: Issuer, verifier: OAuthVerifier, clock: Seconds
) -> None:
    old, new = Key("old"), Key("new", number=1)
    issuer.keys = [old, new]
    assert await verifier.verify_token(issuer.token(old))
    issuer.keys = [new]
    clock.now += FRESH_SECONDS
    assert await verifier.verify_token(issuer.token(old))
    assert issuer.asked == 1
    clock.now += 1
    assert await verifier.verify_token(issuer.token(old)) is None  # it was taken back
    assert await verifier.verify_token(issuer.token(new))
    assert issuer.asked == 2


async def test_a_new_key_is_found_by_asking_but_strangers_can_not_make_it_ask_often(
    issuer: Issuer, verifier: OAuthVerifier, clock: Seconds
) -> None:
    assert await verifier.verify_token(issuer.token())
    new = Key("new", number=1)
    issuer.keys.append(new)
    for _ in range(6):
        for number in range(20):
            assert await verifier.verify_token(issuer.token(Key(f"made up {number}", number=9))) is None
        clock.now += AGAIN_SECONDS / 6
    assert issuer.asked == 1
    assert await verifier.verify_token(issuer.token(new))
    assert issuer.asked == 2


@pytest.mark.parametrize("broken", ["error", "garbage", "list", "nested", "huge", "redirect"])
async def test_an_issuer_that_is_broken_at_the_start_lets_nobody_in_until_it_is_well(
    broken: Broken,
    issuer: Issuer,
    verifier: OAuthVerifier,
    clock: Seconds,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    issuer.broken = broken
    token = issuer.token()
    for _ in range(5):
        with pytest.raises(IssuerUnavailable):
            await verifier.verify_token(token)
    assert sum(issuer.requests.values()) == 2  # each place of the metadata, once
    assert issuer.requests["/elsewhere"] == 0
    issuer.broken = None
    clock.now += RETRY_SECONDS
    assert await verifier.verify_token(token)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith(
        f"the keys of the issuer {issuer.issuer} can't be had: {issuer.base}/.well-"
    )
    assert "can be had again" in caplog.text
    assert token not in caplog.text


async def test_keys_in_use_outlast_an_issuer_that_fails_but_not_for_ever(
    issuer: Issuer, verifier: OAuthVerifier, clock: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    start = clock.now
    assert await verifier.verify_token(issuer.token())
    issuer.broken = "error"
    while clock.now < start + STALE_SECONDS - 3600:
        clock.now += 3600
        assert await verifier.verify_token(issuer.token())
    with pytest.raises(IssuerUnavailable):  # it may be a new one
        await verifier.verify_token(issuer.token(Key("unknown", number=9)))
    clock.now = start + STALE_SECONDS + 1
    with pytest.raises(IssuerUnavailable):
        await verifier.verify_token(issuer.token())
    assert caplog.text.count("can't be had") == 1


async def test_nobody_waits_twice_for_an_issuer_that_hangs_while_there_is_a_key(
    issuer: Issuer, clock: Seconds
) -> None:
    good = []
    async with verifying(issuer, clock, seconds=0.5) as verifier:

        async def check() -> None:
            good.append(bool(await verifier.verify_token(issuer.token())))

        assert await verifier.verify_token(issuer.token())
        issuer.held = anyio.Event()
        clock.now += FRESH_SECONDS + 1
        assert await verifier.verify_token(issuer.token())  # waited in vain
        clock.now += AGAIN_SECONDS
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(check)
            await anyio.wait_all_tasks_blocked()
            assert good == [True, True]  # while the question is under way
            issuer.held.set()


async def test_what_has_keys_but_no_list_of_them_is_no_answer(
    issuer: Issuer, verifier: OAuthVerifier
) -> None:
    issuer.metadata["jwks_uri"] = f"{issuer.issuer}/.well-known/oauth-authorization-server?keys"
    with pytest.raises(IssuerUnavailable):
        await verifier.verify_token(issuer.token())


async def test_a_proxy_that_can_not_be_used_lets_nobody_in_and_is_not_named(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://user:hunter2@127.0.0.1")
    async with verifying(issuer) as verifier:
        with pytest.raises(IssuerUnavailable):
            await verifier.verify_token(issuer.token())
    assert "hunter2" not in caplog.text


async def test_why_a_token_is_refused_is_told_without_it(
    issuer: Issuer, verifier: OAuthVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mcp_server")
    token = issuer.token(aud="https://other.example")
    assert await verifier.verify_token(token) is None
    assert [record.message for record in caplog.records] == ["a token was refused: InvalidAudienceError"]


async def test_clients_find_the_issuer_of_each_transport_and_at_the_root() -> None:
    resources = resources_of("https://images.example.com/seedream", streamable=True)
    routes = metadata_routes(resources, "https://auth.example.com", ["images"])
    transport = httpx.ASGITransport(Starlette(routes=routes))
    told = {}
    async with httpx.AsyncClient(transport=transport, base_url="https://images.example.com") as http:
        for path in ("/seedream/mcp", "/seedream/sse", ""):
            reply = await http.get(
                f"/.well-known/oauth-protected-resource{path}", headers={"Origin": "https://page.example"}
            )
            assert reply.headers["access-control-allow-origin"] == "*"
            told[path] = reply.json()
    assert {path: metadata.pop("resource") for path, metadata in told.items()} == {
        "/seedream/mcp": "https://images.example.com/seedream/mcp",
        "/seedream/sse": "https://images.example.com/seedream/sse",
        "": "https://images.example.com/seedream/mcp",
    }
    for metadata in told.values():
        assert metadata == {
            "authorization_servers": ["https://auth.example.com"],  # to the letter: no slash added
            "scopes_supported": ["images"],
            "bearer_methods_supported": ["header"],
        }
    assert metadata_url(resources[0]) == (
        "https://images.example.com/.well-known/oauth-protected-resource/seedream/mcp"
    )


def test_a_server_of_sse_alone_has_one_resource() -> None:
    assert resources_of("https://images.example.com", streamable=False) == ("https://images.example.com/sse",)
    (only, root) = metadata_routes(["https://images.example.com/sse"], "https://auth.example.com/", ())
    assert (only.path, root.path) == (
        "/.well-known/oauth-protected-resource/sse",
        "/.well-known/oauth-protected-resource",
    )
