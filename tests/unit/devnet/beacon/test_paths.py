from pathlib import Path

from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.api import application
from ssv_pool.devnet.beacon.events import TOPICS
from ssv_pool.devnet.beacon.record import ObjectKind

PAGE = Path(__file__).parents[4] / "docs" / "beacon-node.md"


def first_cells(text):
    rows = (line.split("|") for line in text.splitlines() if line.startswith("| `"))
    return [row[1].strip().strip("`") for row in rows]


def test_the_page_lists_every_path_and_kind():
    cells = first_cells(PAGE.read_text())
    node = SteppedNode().node
    routes = [route for route in application(node).router.routes() if route.method != "HEAD"]
    served = {f"{route.method} {route.resource.canonical}" for route in routes}
    listed = [cell for cell in cells if "/" in cell]
    assert sorted(listed) == sorted(served)
    assert [cell for cell in cells if "/" not in cell] == [kind.value for kind in ObjectKind]
    events = next(line for line in PAGE.read_text().splitlines() if "/eth/v1/events" in line)
    assert {name.strip() for name in events.split("|")[2].split(",")} == TOPICS
