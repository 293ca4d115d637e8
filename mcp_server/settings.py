"""Settings: one frozen model of the environment variables. It only holds values."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from mcp_server.limits import MODELS, Limits
from mcp_server.network_settings import NetworkSettings, check_url

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Settings(NetworkSettings):
    """Every setting; the alias is the environment variable, the description what it means."""

    models: ClassVar[Mapping[str, Limits]] = MODELS
    """The models to choose from; a subclass may have others."""

    api_key: SecretStr | None = Field(
        None,
        alias="NOVITA_API_KEY",
        description="the API key, a secret; without one the server starts and lists its tools, and "
        "each call says how to set it",
    )
    base_url: str = Field(
        "https://api.novita.ai",
        alias="NOVITA_BASE_URL",
        description="where the API is; https only, except on loopback",
    )
    model: str = Field("seedream-4.0", alias="SEEDREAM_MODEL", description=f"the model: {', '.join(MODELS)}")
    emulator: bool = Field(
        default=False,
        alias="SEEDREAM_EMULATOR",
        description="`1`: use the embedded emulator, whatever key there is; free, and every result says so",
    )
    watermark: bool = Field(
        default=False, alias="SEEDREAM_WATERMARK", description="default of the tools' `watermark`"
    )
    save_dir: Path | None = Field(
        None, alias="SEEDREAM_SAVE_DIR", description="a folder: save every image there, with its origin in it"
    )
    input_dirs: tuple[Path, ...] | None = Field(
        None,
        alias="SEEDREAM_INPUT_DIRS",
        description="folders that reference files may come from, separated by `:` (`;` on Windows); unset: "
        "anywhere over stdio, nowhere over HTTP",
    )
    fit_references: bool = Field(
        default=True,
        alias="SEEDREAM_FIT_REFERENCES",
        description="mend reference images that the API would refuse: convert, shrink, compress",
    )
    resource_links: Literal["auto", "always", "never"] = Field(
        "auto",
        alias="SEEDREAM_RESOURCE_LINKS",
        description="`auto` (off for hosts known to break on them), `always`, `never`",
    )
    store_url: str | None = Field(
        None,
        alias="SEEDREAM_STORE_URL",
        repr=False,  # it may hold a password
        description="the record of generations: `sqlite:///PATH`, `redis://…` or `rediss://…` for "
        "many replicas, or `memory://` for none that lasts; unset: a SQLite file in the user's state folder",
    )
    history_days: int = Field(
        90, ge=1, le=36_500, alias="SEEDREAM_HISTORY_DAYS", description="how long generations are recorded"
    )
    images_per_minute: int | None = Field(
        None,
        ge=1,
        alias="SEEDREAM_IMAGES_PER_MINUTE",
        description="cap for each caller; a call waits up to a minute for its turn",
    )
    images_per_day: int | None = Field(
        None,
        ge=1,
        alias="SEEDREAM_IMAGES_PER_DAY",
        description="cap for each caller and day (UTC); more is refused",
    )
    confirm_above: int | None = Field(
        None,
        ge=0,
        alias="SEEDREAM_CONFIRM_ABOVE",
        description="ask the person, in hosts that can, when a call may bill more images than this",
    )
    max_concurrency: int = Field(
        16,
        ge=1,
        le=10_000,
        alias="SEEDREAM_MAX_CONCURRENCY",
        description="upstream requests at once in a process",
    )
    timeout_seconds: float = Field(
        180.0,
        gt=0,
        le=86_400,
        alias="SEEDREAM_TIMEOUT_SECONDS",
        description="how long to wait for one image; 40 s more for each further one",
    )
    drain_seconds: float = Field(
        20.0,
        ge=0,
        le=3600,
        alias="SEEDREAM_DRAIN_SECONDS",
        description="how long the server, when told to end, waits for generations under way",
    )
    log_level: LogLevel = Field(
        "INFO",
        alias="SEEDREAM_LOG_LEVEL",
        description="`DEBUG`, `INFO`, `WARNING` or `ERROR`; logs go to stderr only",
    )

    @property
    def shared(self) -> bool:
        """Whether the record may be shared with servers on other machines."""
        return (self.store_url or "").startswith("redis")

    @property
    def limits(self) -> Limits:
        """The documented limits of the chosen model."""
        return self.models[self.model]

    @field_validator("*", mode="before")
    @classmethod
    def _no_placeholder(cls, value: object) -> object:
        if isinstance(value, str) and _PLACEHOLDER.search(value):
            raise ValueError(
                "holds a placeholder that the host did not fill in; write the value itself, "
                "or fix the host's configuration"
            )
        return value

    @field_validator("save_dir")
    @classmethod
    def _save_dir_is_absolute(cls, folder: Path) -> Path:
        folder = _expanded(folder)
        if not folder.is_absolute():
            raise ValueError("must be an absolute path: hosts start servers in folders of their own choice")
        return folder

    @field_validator("input_dirs", mode="before")
    @classmethod
    def _folders_are_listed(cls, value: str) -> tuple[Path, ...]:
        folders = tuple(_expanded(Path(part)) for part in value.split(os.pathsep) if part.strip())
        if wrong := [str(folder) for folder in folders if not folder.is_absolute()]:
            raise ValueError(f"must list absolute paths; {len(wrong)} of them are not")
        return folders

    @field_validator("api_key")
    @classmethod
    def _key_fits_a_header(cls, key: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()):
            raise ValueError("has spaces or characters that no API key has")
        return key

    @field_validator("base_url")
    @classmethod
    def _base_url_is_safe(cls, url: str) -> str:
        return check_url(url)

    @field_validator("store_url")
    @classmethod
    def _store_is_known(cls, url: str) -> str:
        if url == "memory://" or re.fullmatch(r"sqlite://(/+[^/\0][^\0]*)", url):
            _expanded(Path(url.removeprefix("sqlite:///")))
            return url
        if _is_redis(url):
            return url
        raise ValueError(
            "must be sqlite:///PATH, with an absolute path, redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER], "
            "or memory://"
        )

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, model: str) -> str:
        if model not in cls.models:
            raise ValueError(f"must be one of: {', '.join(cls.models)}")
        return model

    @field_validator("log_level", mode="before")
    @classmethod
    def _level_in_any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("names a home folder that is not there") from None


def _is_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    path = re.fullmatch(r"(/\d{0,4})?", parts.path)
    return (
        parts.scheme in ("redis", "rediss") and bool(host and path) and not parts.query and not parts.fragment
    )
