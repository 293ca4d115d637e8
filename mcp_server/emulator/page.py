"""The emulator's page: the recent requests with thumbnails, for looking."""

from collections.abc import Sequence
from html import escape
from string import Template

from mcp_server.emulator.store import Record

_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Seedream emulator</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border-top: 1px solid #8885; padding: 1rem 0; }
article p { margin: .2rem 0; overflow-wrap: anywhere; }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: .5rem; }
.pictures img { height: 9rem; max-width: 100%; border-radius: 4px; }
.meta { opacity: .7; font-size: .85rem; } .failed { color: #c33; }
</style>
<h1>Seedream emulator</h1>
<p>$requests requests, $images images would have been billed. Newest first; reload to see more.</p>
$rows
</html>
""")


def render_page(records: Sequence[Record], requests: int, images: int) -> str:
    """The page as HTML; everything that came from outside is escaped."""
    rows = "\n".join(map(_row, records)) or "<p>No request yet.</p>"
    return _PAGE.substitute(requests=requests, images=images, rows=rows)


def _row(record: Record) -> str:
    failed = f'<span class="failed">{record.status} {escape(record.reason)}</span>'
    outcome = "in progress" if not record.status else "" if record.status == 200 else failed
    wanted = record.wanted
    if wanted is None:
        return f'<article><p class="meta">{record.when:%H:%M:%S} UTC {outcome}</p></article>'
    pictures = "".join(
        f'<a href="/thumbnails/{record.id}/{number}.jpg?scale=1"><img loading="lazy" '
        f'src="/thumbnails/{record.id}/{number}.jpg" alt="picture {number}"></a>'
        for number in range(1, record.billed_images + 1)
    )
    given = len(record.thumbnails)
    references = f", {given} {'reference' if given == 1 else 'references'}" if given else ""
    watermark = ", watermark" if wanted.watermark else ""
    return (
        f"<article><p>{escape(wanted.prompt[:400])}</p>"
        f'<p class="meta">{record.when:%H:%M:%S} UTC, {wanted.width} x {wanted.height}, '
        f"{record.billed_images} made{references}{watermark} {outcome}</p>"
        f'<div class="pictures">{pictures}</div></article>'
    )
