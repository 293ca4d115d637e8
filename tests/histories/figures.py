"""What took place in histories."""

from dataclasses import dataclass, field


@dataclass
class Figures:
    """What took place, and what was wrong with it."""

    worlds: int = 0
    histories: int = 0
    calls: int = 0
    cancels: int = 0
    kills: int = 0
    eofs: int = 0
    terms: int = 0
    hangups: int = 0
    restarts: int = 0
    faults: int = 0
    posts: int = 0
    billed: int = 0
    rows: int = 0
    unknown: int = 0
    failed: int = 0
    recovered: int = 0
    doubts: int = 0  # successes that told of an earlier request in doubt
    twins: int = 0
    violations: list[str] = field(default_factory=list)
