"""Pictures of the view in every scene: `python -m tests.view FOLDER [SCENE …]`."""

import sys
from pathlib import Path

import anyio

from mcp_server.emulator import Emulator
from tests.view.scenes import SCENES
from tests.view.stage import Stage

FORMS = {"light": ("light", 760), "dark": ("dark", 760), "phone": ("light", 360), "phone-dark": ("dark", 360)}


async def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    async with Stage(folder).set() as stage:
        for name in names or list(SCENES):
            for form, (theme, width) in FORMS.items():
                emulator = Emulator()
                async with anyio.create_task_group() as tasks:
                    await tasks.start(emulator.serve)
                    async with SCENES[name](stage, emulator, context={"theme": theme}, width=width) as shown:
                        await shown.settled()
                        await shown.page.locator("iframe").screenshot(path=folder / f"{name}-{form}.png")
                    tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2:])
