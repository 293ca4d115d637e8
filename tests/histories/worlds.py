"""Many worlds, some at a time."""

import tempfile
from pathlib import Path

import anyio

from tests.histories.figures import Figures
from tests.histories.model import judge
from tests.histories.world import World

WORLDS_AT_ONCE = 3


async def run(worlds: int, histories: int, seed: int) -> Figures:
    """So many worlds with so many histories each."""
    figures = Figures()
    slots = anyio.CapacityLimiter(WORLDS_AT_ONCE)

    async def one(number: int) -> None:
        name = f"{seed}.{number}"
        async with slots:
            with tempfile.TemporaryDirectory() as folder:
                world = World(name, histories, Path(folder), figures)
                await world.run()
                figures.violations += [f"seed {name}: {wrong}" for wrong in judge(world, figures)]
        figures.worlds += 1
        figures.histories += histories

    async with anyio.create_task_group() as tasks:
        for number in range(worlds):
            tasks.start_soon(one, number)
    return figures
