"""An emulator of the API, over real HTTP: for trying things out, and for tests.

It implements the documented contract: each model's endpoint with its authentication, every field and limit,
both ways to give a size, batches, references by URL and data: URI, the watermark, signed links that
expire, the documented errors, and the balance. It draws a real picture of the real size, which
shows the prompt and the references that reached it.

What it does not emulate:

- the model: pictures are drawn from the prompt's text and show no understanding of it. The only
  words it reads are a number of images (with `auto`) and a ratio such as 16:9 (with a preset size).
- moderation, balance and rate limits: nothing is refused for its content, and money never runs out,
  unless a fault is injected that says so.
- whether too large a `max_images` beside references is refused or clamped: not documented; it clamps.
- how the API words its messages, its limits on body size and concurrency, its speed: not documented.
- every alphabet in the drawn caption: it uses a font of this machine where it finds one; without one,
  accents are dropped and other letters become question marks.
"""

from mcp_server.emulator.server import API_KEY, Emulator, run

__all__ = ["API_KEY", "Emulator", "run"]
