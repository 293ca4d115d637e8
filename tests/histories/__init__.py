"""Histories: calls, cancels, kills, endings, faults and restarts at random, checked against a model.

`python -m tests.histories [--seconds N] [--seed S]` runs worlds until the time is over and prints figures.

A world is one emulator, one SQLite file and two server processes, which are ended and replaced while its
histories run; each history has a prompt of its own. What is planned is only likely to happen: a fault of
the emulator strikes whichever request comes next. So the model judges by what the emulator billed, what
each call was answered, and what the ledger says in the end.
"""

from tests.histories.figures import Figures
from tests.histories.worlds import WORLDS_AT_ONCE, run

__all__ = ["WORLDS_AT_ONCE", "Figures", "run"]
