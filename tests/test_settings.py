"""Settings: read once, typed, and an error that names the variable, never its value."""

import os
from pathlib import Path

import pytest

from mcp_server.settings import SettingsError, read_settings, unknown_variables


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
        ("NOVITA_API_KEY", "${user_config.api_key}"),
        ("SEEDREAM_STORE_URL", "sqlite://relative"),
        ("SEEDREAM_STORE_URL", "sqlite:///~nobody-of-this-name/x.db"),
        ("SEEDREAM_STORE_URL", "redis://localhost"),
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
    assert found == ["SEEDREAM_WATERMRAK"]
