"""The parts of the soak by name, in the order in which they run."""

from typing import Final

from tests.soak.case import Part
from tests.soak.headers import HEADERS
from tests.soak.knobs import KNOB_CASES
from tests.soak.logs import LOGS
from tests.soak.records import RECORDS

PARTS: Final[dict[str, Part]] = {
    "headers": HEADERS,
    "logs": LOGS,
    "records": RECORDS,
    "knobs": KNOB_CASES,
}
