"""One browser for all tests of the view."""

from collections.abc import AsyncIterator

import pytest

from tests.view.stage import Stage, missing


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    if reason := missing():
        pytest.skip(reason)
    async with Stage(tmp_path_factory.mktemp("stage")).set() as stage:
        yield stage
