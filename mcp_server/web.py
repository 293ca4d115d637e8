"""The web server under the HTTP transports and the emulator."""

from contextlib import contextmanager
from typing import Any

import uvicorn


class QuietServer(uvicorn.Server):
    """A server inside another program, whose signals are not its own."""

    @contextmanager
    def capture_signals(self) -> Any:
        """Leave them alone."""
        yield
