"""Settings: read once, typed, and an error that names the variable, never its value."""

import os
from pathlib import Path

import pytest

from mcp_server.environment import SettingsError, check_extras, read_settings, unknown_variables
from tests.conftest import posix


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = read_settings({})
    assert settings.api_key is None
    assert settings.base_url == "https://api.novita.ai"
    assert settings.model == "seedream-4.0"
    assert (settings.emulator, settings.watermark) == (False, False)
    assert (settings.max_concurrency, settings.timeout_seconds) == (16, 180.0)
    assert (settings.resource_links, settings.log_level) == ("auto", "INFO")


def test_a_blank_variable_counts_as_unset() -> None:
    assert read_settings({"NOVITA_API_KEY": "  ", "SEEDREAM_WATERMARK": ""}).api_key is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOVITA_API_KEY", "${NOVITA_API_KEY}"),
        ("NOVITA_API_KEY", "Bearer ${user_config.api_key}"),
        ("SEEDREAM_HTTP_TOKEN", "${user_config.token}"),
        ("SEEDREAM_SAVE_DIR", "~nobody-of-this-name/hunter2"),
        ("SEEDREAM_INPUT_DIRS", "~nobody-of-this-name/hunter2"),
        ("SEEDREAM_STORE_URL", "sqlite://relative"),
        ("SEEDREAM_STORE_URL", "sqlite:///~nobody-of-this-name/x.db"),
        ("SEEDREAM_STORE_URL", "redis://"),
        ("SEEDREAM_STORE_URL", "redis://:hunter2@host/seedream"),
        ("SEEDREAM_STORE_URL", "redis://[hunter2"),
        ("SEEDREAM_STORE_URL", "redis://host/0?password=hunter2"),
        ("SEEDREAM_HTTP_TOKEN", "hunter2 hunter2"),
        ("SEEDREAM_HTTP_TOKENS", "hunter2"),
        ("SEEDREAM_HTTP_TOKENS", "{}"),
        ("SEEDREAM_HTTP_TOKENS", '{"ann": 1}'),
        ("SEEDREAM_HTTP_TOKENS", '["hunter2"]'),
        ("SEEDREAM_HTTP_TOKENS", '{"ann": "hunter2", "ann": "b"}'),
        ("SEEDREAM_HTTP_TOKENS", '{"ann": "hunter2", "bob": "hunter2"}'),
        ("SEEDREAM_HTTP_TOKENS", '{"ann hunter2": "b"}'),
        ("SEEDREAM_HTTP_TOKENS", '{"ann": "hunter2 b"}'),
        ("SEEDREAM_HTTP_ALLOWED_HOSTS", "hunter2/x"),
        ("SEEDREAM_HTTP_ALLOWED_ORIGINS", "hunter2"),
        ("SEEDREAM_OAUTH_ISSUER", "http://hunter2.example"),
        ("SEEDREAM_PUBLIC_URL", "hunter2"),
        ("SEEDREAM_PUBLIC_URL", "https://hunter2.example/mcp/"),
        ("SEEDREAM_LOG_FORMAT", "hunter2"),
        ("SEEDREAM_STORE_URL", "/var/lib/ledger.db"),
        ("SEEDREAM_IMAGES_PER_DAY", "0"),
        ("SEEDREAM_CONFIRM_ABOVE", "-1"),
        ("SEEDREAM_DRAIN_SECONDS", "-1"),
        ("SEEDREAM_HISTORY_DAYS", "0"),
        ("NOVITA_API_KEY", "two words"),
        ("NOVITA_API_KEY", "kéy"),
        ("NOVITA_BASE_URL", "http://api.novita.ai"),
        ("NOVITA_BASE_URL", "http://127.0.0.1.example.com"),
        ("NOVITA_BASE_URL", "https://user:hunter2@api.novita.ai"),
        ("NOVITA_BASE_URL", "https://api.novita.ai?key=hunter2"),
        ("NOVITA_BASE_URL", "ftp://api.novita.ai"),
        ("NOVITA_BASE_URL", "https://[hunter2"),
        ("NOVITA_BASE_URL", "https://hunter2 .com"),
        ("NOVITA_BASE_URL", "https://a..b"),
        ("NOVITA_BASE_URL", "https://ü.example"),
        ("NOVITA_BASE_URL", "https://127.0.0.1:1/\x7f"),
        ("NOVITA_BASE_URL", "${NOVITA_BASE_URL:-https://x.example}"),
        ("SEEDREAM_MODEL", "hunter2"),
        ("SEEDREAM_EMULATOR", "hunter2"),
        ("SEEDREAM_WATERMARK", "${env:WATERMARK}"),
        ("SEEDREAM_RESOURCE_LINKS", "hunter2"),
        ("SEEDREAM_SAVE_DIR", "hunter2/pictures"),
        ("SEEDREAM_INPUT_DIRS", f"/absolute{os.pathsep}hunter2"),
        ("SEEDREAM_FIT_REFERENCES", "hunter2"),
        ("SEEDREAM_MAX_CONCURRENCY", "0"),
        ("SEEDREAM_MAX_CONCURRENCY", "hunter2"),
        ("SEEDREAM_TIMEOUT_SECONDS", "-1"),
        ("SEEDREAM_TIMEOUT_SECONDS", "nan"),
        ("SEEDREAM_LOG_LEVEL", "hunter2"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable_and_not_the_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({name: value})
    message = str(caught.value)
    assert message.startswith(name)
    assert "\n" not in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8787",
        "http://localhost:8787/",
        "http://[::1]:8787",
        "https://api.ppio.com",
        "https://h/p",
    ],
)
def test_https_anywhere_and_http_on_loopback_are_taken(url: str) -> None:
    assert read_settings({"NOVITA_BASE_URL": url}).base_url == url.rstrip("/")


def test_values_are_read_in_the_usual_spellings() -> None:
    settings = read_settings(
        {
            "SEEDREAM_EMULATOR": "1",
            "SEEDREAM_WATERMARK": "true",
            "SEEDREAM_LOG_LEVEL": "debug",
            "SEEDREAM_MODEL": " seedream-4.0 ",
        }
    )
    assert settings.limits.path == "/v3/seedream-4.0"
    assert settings.emulator
    assert settings.watermark
    assert settings.log_level == "DEBUG"


@posix
def test_folders_are_lists_of_absolute_paths_with_the_home_folder_filled_in() -> None:
    settings = read_settings(
        {"SEEDREAM_INPUT_DIRS": f"~/a{os.pathsep}/b{os.pathsep}", "SEEDREAM_SAVE_DIR": "~/c"}
    )
    assert settings.input_dirs == (Path.home() / "a", Path("/b"))
    assert settings.save_dir == Path.home() / "c"


def test_the_key_is_in_no_representation() -> None:
    assert "hunter2" not in repr(read_settings({"NOVITA_API_KEY": "hunter2"}))


def test_variables_with_our_prefix_that_nothing_reads_are_found() -> None:
    found = unknown_variables({"SEEDREAM_WATERMRAK": "1", "SEEDREAM_MODEL": "x", "PATH": "y"})
    assert found == {"SEEDREAM_WATERMRAK": "SEEDREAM_WATERMARK"}


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text('{"ann": "a-token"}\n')
    tokens = read_settings({"SEEDREAM_HTTP_TOKENS_FILE": str(file)}).http_tokens
    assert tokens is not None
    assert tokens["ann"].get_secret_value() == "a-token"
    assert unknown_variables({"SEEDREAM_HTTP_TOKENS_FILE": "x"}) == {}
    assert unknown_variables({"SEEDREAM_Q": "x"}) == {"SEEDREAM_Q": None}


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff", b"x" * (1024**2 + 1), None])
def test_a_secret_file_of_no_use_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "hunter2"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^NOVITA_API_KEY_FILE names a file that [^\n]*$") as caught:
        read_settings({"NOVITA_API_KEY_FILE": str(file)})
    assert "hunter2" not in str(caught.value)


def test_the_emulator_needs_no_file_with_a_key(tmp_path: Path) -> None:
    missing = {"NOVITA_API_KEY_FILE": str(tmp_path / "missing")}
    assert read_settings({"SEEDREAM_EMULATOR": "1", **missing}).emulator
    with pytest.raises(SettingsError, match="can't be read"):
        read_settings({"SEEDREAM_EMULATOR": "0", **missing})


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="only one of them"):
        read_settings({"SEEDREAM_HTTP_TOKEN": "a", "SEEDREAM_HTTP_TOKEN_FILE": str(tmp_path)})


def test_settings_that_need_each_other_name_what_is_missing() -> None:
    with pytest.raises(SettingsError, match=r"^SEEDREAM_OAUTH_ISSUER is missing"):
        read_settings({"SEEDREAM_OAUTH_SCOPES": "a b"})
    with pytest.raises(SettingsError, match=r"^SEEDREAM_HTTP_TOKEN is in"):
        read_settings({"SEEDREAM_HTTP_TOKEN": "a", "SEEDREAM_HTTP_TOKENS": '{"ann": "a"}'})


def test_lists_are_read() -> None:
    settings = read_settings(
        {
            "SEEDREAM_HTTP_ALLOWED_HOSTS": "Example.com, b.example:8443,,c.example:*",
            "SEEDREAM_HTTP_ALLOWED_ORIGINS": "https://example.com",
            "SEEDREAM_OAUTH_ISSUER": "https://issuer.example/",
            "SEEDREAM_OAUTH_SCOPES": "images:make  images:read",
        }
    )
    assert settings.allowed_hosts == ("example.com", "b.example:8443", "c.example:*")
    assert settings.allowed_origins == ("https://example.com",)
    assert settings.oauth_issuer == "https://issuer.example/"
    assert settings.oauth_scopes == ("images:make", "images:read")


@pytest.mark.parametrize("url", ["redis://h", "rediss://u:p@h:6380/3", "redis://[::1]:1/", "redis://:p@h"])
def test_a_store_of_many_replicas_is_a_redis_url_that_is_never_shown(url: str) -> None:
    settings = read_settings({"SEEDREAM_STORE_URL": url})
    assert settings.store_url == url
    assert url not in repr(settings)


def test_a_redis_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings({"SEEDREAM_STORE_URL": "redis://h"})
    check_extras(settings)
    monkeypatch.setattr("mcp_server.environment.find_spec", {"redis": None}.get)
    with pytest.raises(SettingsError, match=r"mcp-server-seedream\[redis\]"):
        check_extras(settings)
