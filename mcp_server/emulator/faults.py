"""Faults on request: how the emulator misbehaves when told to.

A fault is a JSON object, given with `--fault` or posted to `/_emulator/faults`. See `Fault`.
"""

import random
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Drop = Literal["before_body", "after_body", "mid_reply"]


class Fault(BaseModel):
    """One way to misbehave, for the next `times` requests or for a `share` of all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int | None = Field(None, ge=200, le=599, description="status of the reply")
    reason: str = Field("", description="reason in the reply's error body")
    message: str = Field("injected fault", description="message in the reply's error body")
    body: str | None = Field(None, description="the reply's whole body instead, of any kind (status 200)")
    retry_after: str | None = Field(
        None, pattern=r"^[ -~]*$", description="Retry-After header, seconds or a date"
    )
    delay: float = Field(0.0, ge=0, le=3600, description="seconds to wait before the reply")
    drop: Drop | None = Field(
        None,
        description="close the connection: `before_body` (unread request), `after_body` or `mid_reply`",
    )
    billed: bool = Field(default=False, description="make and bill the pictures before misbehaving")
    times: int | None = Field(
        None, ge=1, description="how many requests it strikes; 1 where no share is given"
    )
    share: float | None = Field(None, gt=0, le=1, description="the part of all requests that it strikes")

    @model_validator(mode="after")
    def _it_does_something(self) -> "Fault":
        if self.status is None and self.body is None and self.drop is None and not self.delay:
            raise ValueError("a fault needs one of: status, body, drop, delay")
        return self

    @property
    def replaces_reply(self) -> bool:
        """Whether the honest reply is not given."""
        return self.status is not None or self.body is not None or self.drop is not None


@dataclass
class Faults:
    """The faults in force, each with how often it is still to strike."""

    seed: int = 0
    _left: list[tuple[Fault, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 - which requests fail, repeatably

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._left.append((fault, fault.times if fault.times or fault.share else 1))

    def clear(self) -> None:
        """Behave again."""
        self._left.clear()

    def in_force(self) -> list[Fault]:
        """The faults that may still strike."""
        return [fault for fault, _ in self._left]

    def next(self) -> Fault | None:
        """The fault that strikes the request at hand, if any; it counts as struck."""
        for position, (fault, left) in enumerate(self._left):
            if fault.share is not None and self._dice.random() >= fault.share:
                continue
            if left is not None:
                if left == 1:
                    del self._left[position]
                else:
                    self._left[position] = (fault, left - 1)
            return fault
        return None
