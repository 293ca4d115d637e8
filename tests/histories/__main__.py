"""Histories for as long as one likes."""

import argparse
import asyncio
import random
import sys
import time
from dataclasses import fields

from tests.histories import WORLDS_AT_ONCE, Figures, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description="Fault tests, for long.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    end, seed, total = time.monotonic() + arguments.seconds, arguments.seed, Figures()
    while time.monotonic() < end and not total.violations:
        figures = asyncio.run(run(WORLDS_AT_ONCE, 25, seed))
        for one in fields(Figures):
            setattr(total, one.name, getattr(total, one.name) + getattr(figures, one.name))
        seed += 1
    for one in fields(Figures):
        value = getattr(total, one.name)
        print(f"{one.name:>12}", *(value if one.name == "violations" else [value]))  # noqa: T201 - what it is for
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
