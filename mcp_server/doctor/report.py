"""What a doctor's visit found, as a table for a person and as JSON for a program."""

import json
import textwrap
from dataclasses import asdict, dataclass, field
from typing import Literal

State = Literal["ok", "note", "warning", "wrong"]

_MARKS: dict[State, str] = {"ok": "ok", "note": "-", "warning": "warn", "wrong": "WRONG"}
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is, how it is, and what to do where it is not well."""

    about: str
    state: State
    found: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class SettingShown:
    """A setting: its value as it may be shown, and where it came from."""

    name: str
    value: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    findings: list[Finding] = field(default_factory=list)
    settings: list[SettingShown] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.state != "wrong" for finding in self.findings)


def as_text_json(report: Report) -> str:
    """The report as JSON: `{"ok", "findings": […], "settings": […]}`."""
    shown = {"ok": report.well, **asdict(report)}
    return json.dumps(shown, ensure_ascii=False, indent=2)


def as_table(report: Report) -> str:
    """The report as text: the findings with their remedies, then the settings."""
    width = max(len(finding.about) for finding in report.findings)
    lines: list[str] = []
    for finding in report.findings:
        indent = " " * (width + 9)
        head = f"{_MARKS[finding.state]:<5}  {finding.about:<{width}}  "
        lines += textwrap.wrap(finding.found, _WIDTH, initial_indent=head, subsequent_indent=indent)
        if finding.remedy:
            lines += textwrap.wrap(
                finding.remedy, _WIDTH, initial_indent=f"{indent}=> ", subsequent_indent=f"{indent}   "
            )
    if report.settings:
        lines += ["", "Settings, and where each came from:"]
        names = max(len(setting.name) for setting in report.settings)
        sources = max(len(setting.source) for setting in report.settings)
        lines += [
            f"  {setting.name:<{names}}  {setting.source:<{sources}}  {setting.value or '-'}"
            for setting in report.settings
        ]
    wrong = sum(finding.state == "wrong" for finding in report.findings)
    lines += ["", f"{wrong} of these must be mended." if wrong else "Nothing is wrong."]
    return "\n".join(lines)
