"""The parts of the soak by name, in the order in which they run."""

from typing import Final

from tests.soak.case import Part
from tests.soak.headers import HEADERS

PARTS: Final[dict[str, Part]] = {"headers": HEADERS}
