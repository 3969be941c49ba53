"""The parts of the soak by name, in the order in which they run."""

from pathlib import Path
from typing import Final

from tests.soak.case import Case, Part
from tests.soak.configs import CONFIGS
from tests.soak.headers import HEADERS
from tests.soak.kills import attempt_kill, kill_case
from tests.soak.knobs import KNOB_CASES
from tests.soak.logs import LOGS
from tests.soak.records import RECORDS
from tests.soak.tables import IMPORTS

KILLS: Final = Part(
    usual=200,
    make=lambda random: Case("kill", kill_case(random)),
    attempt=lambda case, folder: attempt_kill(case.data, Path(folder)),
)
PARTS: Final[dict[str, Part]] = {
    "headers": HEADERS,
    "logs": LOGS,
    "records": RECORDS,
    "tables": IMPORTS,
    "configs": CONFIGS,
    "knobs": KNOB_CASES,
    "kills": KILLS,
}
