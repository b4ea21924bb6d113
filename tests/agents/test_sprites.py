"""The characters of agents: the same for the same agent, of our own drawing, nothing in them that runs."""

from __future__ import annotations

from itertools import product
from xml.etree import ElementTree

import pytest

from agents import sprites
from agents.errors import Invalid


def test_the_same_seed_draws_the_same_and_others_differ() -> None:
    pictures = {sprites.svg(sprites.look(f"agent_{number}")) for number in range(200)}

    assert sprites.svg(sprites.look("agent_1")) == sprites.svg(sprites.look("agent_1"))
    assert len(pictures) > 150


def test_a_chosen_shape_and_palette_are_kept_and_the_rest_stays_the_agents_own() -> None:
    own, chosen = sprites.look("agent_1"), sprites.look("agent_1", "owl", "plum")

    assert (chosen.shape, chosen.palette) == ("owl", "plum")
    assert (chosen.eyes, chosen.mouth, chosen.hat, chosen.mark) == (own.eyes, own.mouth, own.hat, own.mark)


def test_what_is_no_longer_drawn_falls_back() -> None:
    assert sprites.look("agent_1", "dragon", "gold") == sprites.look("agent_1")


@pytest.mark.parametrize(("shape", "palette"), list(product(sprites.SHAPES, sprites.PALETTES)))
def test_every_character_is_a_small_picture_without_anything_that_runs(shape: str, palette: str) -> None:
    allowed = {"svg", "title", "g", "path", "circle", "rect"}
    for seed in range(25):
        text = sprites.svg(sprites.look(str(seed), shape, palette), 'A "<b>" & co')
        root = ElementTree.fromstring(text)
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= allowed
        assert not [
            name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name
        ]
        assert root.attrib["aria-label"] == 'A "<b>" & co'
        assert len(text) < 1_500


@pytest.mark.parametrize(
    ("shape", "palette", "field"), [("dragon", "", "sprite_shape"), ("", "gold", "sprite_palette")]
)
def test_an_unknown_choice_is_refused_with_what_there_is(shape: str, palette: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        sprites.check(shape, palette)

    assert refused.value.field == field
    assert "Choose among" in refused.value.action


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", sprites.PALETTES)
def test_the_face_can_be_told_from_the_body(palette: str) -> None:
    body, _, ink = sprites.PALETTES[palette]

    assert (luminance(body) + 0.05) / (luminance(ink) + 0.05) > 4.5
