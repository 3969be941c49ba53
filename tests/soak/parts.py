"""The parts of the soak by name, in the order in which they run."""

from typing import Final

from tests.soak.case import Part
from tests.soak.headers import HEADERS
from tests.soak.logs import LOGS

PARTS: Final[dict[str, Part]] = {"headers": HEADERS, "logs": LOGS}
