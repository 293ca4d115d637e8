"""docs/tour.md shows what the program does."""

import re

import pytest
from PIL import Image

from tests.tour import DOCS, PAGE, at_work, page, steady, transcript

pytestmark = pytest.mark.anyio


async def test_the_tour_says_what_the_program_says() -> None:
    async with at_work() as (_, client):
        said = await transcript(client)
    written = PAGE.read_text("utf-8")
    assert steady(page(said)) == steady(written), "`make tour` writes it anew"


def test_the_pictures_of_the_tour_are_there_and_no_others() -> None:
    named = set(re.findall(r"\(tour/([a-z-]+\.jpg)\)", PAGE.read_text("utf-8")))
    assert named == {file.name for file in (DOCS / "tour").iterdir()}
    for name in named:
        with Image.open(DOCS / "tour" / name) as picture:
            picture.load()
            assert picture.width >= 360
