"""The proxy and the certificates that requests to the API go by."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from mcp_server.doctor.report import Finding
from mcp_server.doctor.settings import without_secrets

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def check_network(environ: Mapping[str, str], base_url: str) -> list[Finding]:
    """What is in force for the API at `base_url`."""
    return [_proxy(base_url), _certificates(environ)]


def _proxy(base_url: str) -> Finding:
    parts = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None:
        return Finding("proxy", "note", "none")
    if proxy_bypass(parts.hostname or ""):
        return Finding("proxy", "note", f"none for {parts.hostname}, which NO_PROXY names")
    shown = without_secrets(proxy)
    try:
        httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")
    except (ValueError, httpx.InvalidURL):
        remedy = f"set {parts.scheme.upper()}_PROXY to a URL such as http://proxy.example:8080"
        return Finding("proxy", "wrong", f"{shown} can't be used", remedy)
    return Finding("proxy", "ok", shown)


def _certificates(environ: Mapping[str, str]) -> Finding:
    about = "certificates"
    given = {name: environ[name] for name in _CERTIFICATES if environ.get(name)}
    for name, path in given.items():
        if not Path(path).exists():
            return Finding(
                about, "wrong", f"{name} names {path}, which is not there", f"mend or unset {name}"
            )
    try:
        httpx.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        remedy = f"mend or unset {' and '.join(given) or 'SSL_CERT_FILE'}: a PEM file of certificates"
        return Finding(about, "wrong", f"can't be read ({type(error).__name__})", remedy)
    shown = ", ".join(f"{name}={path}" for name, path in given.items())
    return Finding(about, "ok", shown or "those of the certifi package")
