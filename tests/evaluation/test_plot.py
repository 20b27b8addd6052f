"""The picture is well-formed, and every trial can be told in it."""

from xml.etree import ElementTree as ET

import pytest

from apps.evaluation.bounds import HindsightBounds
from apps.evaluation.metrics import Metrics
from apps.evaluation.plot import svg
from apps.evaluation.trial import FIRST_COME, PROXIMITY, Trial

SVG = "{http://www.w3.org/2000/svg}"


def trial(name: str, fill: float, miles: float, holding: float = 8, shipments: float = 2, units: int = 10) -> Trial:
    return Trial(name, f"why {name} <&>", 7, Metrics(fill, 0.8, miles, holding, shipments, units, 1))


@pytest.mark.parametrize("scale", [0.01, 1, 300])
def test_every_trial_is_a_dot_inside_each_diagram_with_its_mark(scale: float) -> None:
    nothing = float("nan")
    trials = [
        trial(FIRST_COME, 0.06, 1300 * scale),
        trial(PROXIMITY, 0.06, 90 * scale),
        trial("near", 0.15, 40 * scale),
        trial("nearer", 0.15, 40 * scale),
        trial("nothing", 0, nothing, nothing, nothing, units=0),
    ]
    root = ET.fromstring(svg(trials, HindsightBounds(0.32, 27 * scale, 6.8), title="Requests & offers"))  # noqa: S314  our own

    dots = root.findall(f"{SVG}circle")
    marks = [text.text for text in root.findall(f"{SVG}text") if text.get("stroke")]
    assert len(dots) == 2 * 3
    assert sorted(mark or "" for mark in marks) == sorted(["F", "P", "1", "2"] * 3)
    frames = [
        tuple(float(rect.attrib[side]) for side in ("x", "y", "width", "height"))
        for rect in root.findall(f"{SVG}rect[@stroke]")
    ]
    for dot in dots:
        x, y = float(dot.attrib["cx"]), float(dot.attrib["cy"])
        assert any(left <= x <= left + wide and top <= y <= top + high for left, top, wide, high in frames)
    assert [root.findtext(f"{SVG}title")] == ["Requests & offers"]
    spots = [(text.get("x"), text.get("y")) for text in root.findall(f"{SVG}text") if text.get("stroke")]
    assert len(set(spots)) == len(spots)
