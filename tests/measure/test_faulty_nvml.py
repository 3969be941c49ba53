"""An NVML that misbehaves in every way that a real one does, under a sweep: None with its reason,
and on it goes.

The library is real C under NVIDIA's name, and the pynvml that is installed loads it by itself.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from oomph.errors import ToolchainError
from oomph.measure.energy import counter_fault
from oomph.phantom.build import FLAGS, SOURCES, compiler
from oomph.units import MIB

SOURCE: Final = Path(__file__).parent.parent / "data" / "faulty_nvml.c"
OWN: Final = 300 * MIB
IDLE: Final = 100 * MIB
SWEEP: Final = """
import json, sys
from oomph.measure.card_probe import CardProbe
from oomph.measure.executors import LocalExecutor
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.store import Store
model, worker, out = sys.argv[1:]
sweep = Sweep.parse(f'name = "test"\\nmodel = "{model}"\\naxes.n_ctx = [256, 512, 1024]')
executor = LocalExecutor(probes=lambda: (CardProbe(),), interval_s=0.01, worker=[worker])
for record in Runner(Store(out), executor, environment=read_environment(backend="cuda")).run(sweep):
    print(record.model_dump_json())
"""
WORKER: Final = """
def put(*lines):
    with open(os.environ["FAULTY_NVML"] + ".new", "w") as file:
        file.write("\\n".join(lines))
    os.replace(file.name, os.environ["FAULTY_NVML"])
HEALTHY = {healthy!r}.replace("OWN_PID", str(os.getpid())).splitlines()
FAULT = {fault!r}.replace("OWN_PID", str(os.getpid())).splitlines()
load()
{before}
for line in sys.stdin:
    point = json.loads(line)
    put(*HEALTHY)
    time.sleep(0.1)
    if point["config"]["n_ctx"] == 512:
        put(*FAULT)
        {dies}
    time.sleep(0.15)
    measured(point)
    sys.stdin.readline()
    put(*HEALTHY)
    say("done", quality=None)
"""
HEALTHY: Final = f"used {IDLE + OWN}\nenergy 5000000\nprocess OWN_PID {OWN}"
SENSORS: Final = (
    "sm_mhz",
    "memory_mhz",
    "temperature_c",
    "power_w",
    "power_limit_w",
    "utilisation_percent",
    "energy_j",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that has libnvidia-ml.so.1."""
    try:
        cc = compiler()
    except ToolchainError as error:
        pytest.skip(str(error))
    target = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    command = [
        cc,
        *FLAGS,
        "-Wno-misleading-indentation",
        "-I",
        str(SOURCES),
        "-o",
        str(target),
        str(SOURCE),
    ]
    subprocess.run([*command, "-Wl,-soname,libnvidia-ml.so.1"], check=True)
    return target.parent


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a Python finds the library; `says` is the file that tells it how to behave."""

    library: Path
    says: Path

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {
            "LD_LIBRARY_PATH": str(self.library),
            "FAULTY_NVML": str(self.says),
        }
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        return subprocess.run(
            [sys.executable, *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Machine:
    says = tmp_path / "says"
    says.write_text(f"used {IDLE}\n")
    return Machine(library, says)


@pytest.fixture
def sweep(
    machine: Machine, tmp_path: Path, tiny_moe: Path, speaker: Callable[[str], Path]
) -> Callable[..., list[dict[str, Any]]]:
    def run(
        fault: str,
        *,
        healthy: str = HEALTHY,
        before: str = "",
        dies: str = "pass",
        begin: str = f"used {IDLE}",
    ) -> list[dict[str, Any]]:
        machine.says.write_text(begin)
        worker = speaker(WORKER.format(healthy=healthy, fault=fault, before=before, dies=dies))
        done = machine.run("-c", SWEEP, str(tiny_moe), str(worker), str(tmp_path / "out"))
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def card(record: dict[str, Any]) -> dict[str, Any]:
    return dict(record["conditions"]["cards"]["CUDA0"])


def vram(record: dict[str, Any]) -> dict[str, Any] | None:
    return next((dict(series) for series in record["memory"] if series["quantity"] == "vram"), None)


def test_a_healthy_one_tells_everything(sweep: Callable[..., list[dict[str, Any]]]) -> None:
    """What the faults are held against: the library itself is not at fault."""
    for record in sweep(HEALTHY):
        assert record["outcome"]["label"] == "ok"
        assert card(record)["unread"] == {}
        assert (card(record)["sm_mhz"], card(record)["throttle"]) == ([2520, 2520], ["power_cap"])
        assert all(card(record)[name] for name in SENSORS)
        series = vram(record)
        assert series is not None
        assert (series["method"], series["peak_bytes"], series["last_bytes"]) == (
            "per_process",
            OWN,
            OWN,
        )


FIELDS: Final = {
    "nvmlDeviceGetClockInfo": ("sm_clock", "sm_mhz"),
    "nvmlDeviceGetTemperature": ("temperature", "temperature_c"),
    "nvmlDeviceGetPowerUsage": ("power", "power_w"),
    "nvmlDeviceGetEnforcedPowerLimit": ("power_limit", "power_limit_w"),
    "nvmlDeviceGetUtilizationRates": ("utilisation", "utilisation_percent"),
    "nvmlDeviceGetCurrentClocksEventReasons": ("throttle", "throttle"),
}


@pytest.mark.parametrize(
    ("code", "reason"),
    [(3, "Not Supported"), (999, "Unknown Error"), (1, "Uninitialized"), (77, "an error that pyn")],
)
def test_a_figure_that_is_not_told_is_none_with_its_reason_once(
    sweep: Callable[..., list[dict[str, Any]]], code: int, reason: str
) -> None:
    """Every sensor at once, from before the worker starts; the memory is still told."""
    fault = "".join(f"\nerror {function} {code}" for function in FIELDS)
    records = sweep(HEALTHY + fault, healthy=HEALTHY + fault, begin=f"used {IDLE}{fault}")
    assert [record["outcome"]["label"] for record in records] == ["ok"] * 3
    for record in records:
        for name, field in FIELDS.values():
            assert card(record)[field] is None
            assert card(record)["unread"][name].startswith(reason)
        assert record["conditions"]["throttle_reasons"] is None
        assert card(record)["energy_j"] > 0, "the counter is another figure"
        series = vram(record)
        assert series is not None
        assert series["peak_bytes"] == OWN


@pytest.mark.parametrize(
    ("code", "reason"), [(15, "GPU is lost"), (999, "Unknown Error"), (16, "GPU requires rest")]
)
def test_a_card_that_is_lost_in_the_middle_is_named_and_the_next_point_is_measured(
    sweep: Callable[..., list[dict[str, Any]]], code: int, reason: str
) -> None:
    well, lost, after = sweep(
        f"{HEALTHY}\nerror * {code}\ninits 1", dies="time.sleep(0.1); os.abort()"
    )
    assert [record["outcome"]["label"] for record in (well, lost, after)] == [
        "ok",
        "device_lost",
        "ok",
    ]
    assert "CUDA0 stopped answering" in lost["outcome"]["message"]
    assert lost["conditions"]["lost_devices"] == ["CUDA0"]
    assert card(lost)["unread"]["card"].startswith(reason)
    series = vram(lost)
    assert series is None or min(series["values_bytes"]) == OWN, (
        "no 0 was made of what was not told"
    )
    assert "lost_devices" not in after["conditions"]
    assert card(after)["unread"] == {}


def test_a_card_that_stays_lost_ends_the_sweep_with_a_sentence_and_its_records(
    machine: Machine, tmp_path: Path, tiny_moe: Path, speaker: Callable[[str], Path]
) -> None:
    fault = f"{HEALTHY}\nerror * 15"
    worker = speaker(
        WORKER.format(healthy=HEALTHY, fault=fault, dies="time.sleep(0.1); os.abort()", before="")
    )
    done = machine.run("-c", SWEEP, str(tiny_moe), str(worker), str(tmp_path / "out"))
    assert done.stderr.splitlines()[-1].endswith(
        "a card does not answer (GPU is lost); reset it or the machine"
    )
    labels = [json.loads(line)["outcome"]["label"] for line in done.stdout.splitlines()]
    assert labels == ["ok", "device_lost"]


def test_a_lost_card_is_no_matter_to_a_worker_on_another(machine: Machine) -> None:
    machine.says.write_text("gpus 3\nlost 2\n")
    body = (
        "import os, sys\nfrom oomph.measure.card_probe import CardProbe\n"
        "probe = CardProbe(visible=sys.argv[1]); probe.open(); print(*probe.conditions()['cards'])"
    )
    assert machine.run("-c", body, "GPU-1").stdout == "CUDA0\n"
    assert machine.run("-c", body, "GPU-3,GPU-1").stdout == "CUDA0 CUDA1\n"
    for asked in ("GPU-2", "GPU-1,GPU-2", "1"):
        assert "a card does not answer (GPU is lost)" in machine.run("-c", body, asked).stderr


def test_a_card_that_was_silent_for_a_moment_is_not_lost(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    silent = "put(*HEALTHY, 'error * 999'); time.sleep(0.1); put(*HEALTHY)"
    _, moment, _ = sweep(HEALTHY, dies=silent)
    assert moment["outcome"]["label"] == "ok"
    assert "lost_devices" not in moment["conditions"]
    assert card(moment)["unread"] == {"card": "Unknown Error"}
    series = vram(moment)
    assert series is not None
    assert set(series["values_bytes"]) == {OWN}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("energy 7", "the counter went back"), ("energy 5000000\nstill", "the counter went back")],
    ids=["reset", "stands still"],
)
def test_a_counter_that_is_reset_yields_to_the_powers(
    sweep: Callable[..., list[dict[str, Any]]], fault: str, reason: str
) -> None:
    well, reset, after = sweep(f"used {IDLE + OWN}\nprocess OWN_PID {OWN}\n{fault}")
    assert card(well)["energy_method"] == card(after)["energy_method"] == "counter"
    assert card(reset)["energy_method"] == "integrated_power"
    assert 20 < card(reset)["energy_j"] < 1000, "200 W for a fraction of a second"
    assert card(reset)["unread"]["energy"].startswith(reason)


def test_a_counter_that_is_reset_on_a_card_without_powers_is_none(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    healthy = f"{HEALTHY}\nerror nvmlDeviceGetPowerUsage 3"
    _, reset, _ = sweep(healthy.replace("energy 5000000", "energy 7"), healthy=healthy)
    assert card(reset)["energy_j"] is None
    assert card(reset)["energy_method"] is None
    assert set(card(reset)["unread"]) == {"power", "energy"}


@pytest.mark.parametrize(
    ("counted", "powers", "says"),
    [
        ([5.0, 5.0, 5.0, 5.0, 5.0, 5.0], [0.0, 1, 2, 3, 4, 5], "stands still"),
        ([5.0, 5.0, 5.0, 5.0, 5.0, 5.0], [0.0] * 6, None),
        ([5.0, 6.0, 5.9, 7.0, 8.0, 9.0], [0.0] * 6, "from 6.000 J to 5.900 J"),
        ([5.0], [0.0], None),
        ([5.0, 5.0], [0.0, 1.0], None),
    ],
)
def test_a_counter_is_believed_while_it_moves_forward(
    counted: list[float], powers: list[float], says: str | None
) -> None:
    fault = counter_fault(list(enumerate(counted)), list(enumerate(powers)))
    assert fault is None if says is None else says in str(fault)


def test_without_memory_by_process_the_share_is_the_cards_less_what_was_idle(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    """WDDM, and most containers: processes are listed, their memory is not told."""
    hidden = HEALTHY.replace(f"OWN_PID {OWN}", "OWN_PID -")
    for record in sweep(hidden, healthy=hidden):
        series = vram(record)
        assert series is not None
        assert (series["method"], series["last_bytes"]) == ("device_minus_idle", OWN)
        assert list(card(record)["unread"]) == ["process_memory"]
        assert "WDDM" in card(record)["unread"]["process_memory"]


def test_memory_by_process_that_ends_in_the_middle_leaves_a_gap_and_no_0(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    _, hidden, after = sweep(HEALTHY.replace(f"OWN_PID {OWN}", "OWN_PID -"))
    for record in (hidden, after):
        series = vram(record)
        assert series is not None
        assert (series["method"], set(series["values_bytes"])) == ("per_process", {OWN})
    assert "process_memory" in card(hidden)["unread"]


def test_what_others_took_before_the_worker_was_listed_is_not_its_peak(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    """Until NVML lists the worker its share is a guess, which a neighbour that comes falsifies."""
    comes = f"put('used {IDLE + 20 * OWN}', 'process 1 {20 * OWN}'); time.sleep(0.1); put(*HEALTHY)"
    first, *_ = sweep(HEALTHY, before=comes)
    series = vram(first)
    assert series is not None
    assert (series["method"], series["peak_bytes"]) == ("per_process", OWN)
    assert [other["vram_bytes"] for other in card(first)["other_processes"]] == [20 * OWN]


@pytest.mark.parametrize(("late", "is_told"), [(1, True), (1000, False)])
def test_a_list_that_grows_while_it_is_read_is_asked_again(
    sweep: Callable[..., list[dict[str, Any]]], late: int, is_told: bool
) -> None:
    _, grown, after = sweep(f"{HEALTHY}\nprocess 1 5\nlate {late}")
    series = vram(grown)
    assert series is not None
    assert set(series["values_bytes"]) == {OWN}, "a list that failed is no list without the worker"
    assert (card(grown)["unread"] == {}) is is_told
    assert is_told or card(grown)["unread"] == {"processes": "Insufficient Size"}
    assert card(after)["unread"] == {}


def test_processes_that_are_not_listed_are_none_and_not_an_empty_list(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    fault = "\nerror nvmlDeviceGetComputeRunningProcesses_v3 4"
    for record in sweep(HEALTHY + fault, healthy=HEALTHY + fault, begin=f"used {IDLE}{fault}"):
        assert card(record)["other_processes"] is record["conditions"]["other_processes"] is None
        assert card(record)["unread"] == {"processes": "Insufficient Permissions"}
        series = vram(record)
        assert series is not None
        assert (series["method"], series["last_bytes"]) == ("device_minus_idle", OWN)


def test_a_card_that_shares_the_hosts_memory_tells_what_processes_take(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    fault = "\nerror nvmlDeviceGetMemoryInfo 3\nerror nvmlDeviceGetMemoryInfo_v2 3"
    for record in sweep(HEALTHY + fault, healthy=HEALTHY + fault, begin=fault):
        assert card(record)["idle_bytes"] is None
        assert card(record)["unread"]["memory"] == "Not Supported"
        series = vram(record)
        assert series is not None
        assert (series["method"], series["peak_bytes"]) == ("per_process", OWN)


def test_a_call_that_hangs_for_a_second_delays_nothing_but_the_samples(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    well, hung, after = sweep(f"{HEALTHY}\nsleep nvmlDeviceGetMemoryInfo_v2 1000")
    assert [record["outcome"]["label"] for record in (well, hung, after)] == ["ok"] * 3
    assert hung["conditions"]["slow_probes"]["nvml"] >= 1.0
    assert "slow_probes" not in well["conditions"]
    series = vram(hung)
    assert series is not None
    assert set(series["values_bytes"]) == {OWN}


def test_of_a_gpu_that_is_cut_up_the_instance_is_measured(
    sweep: Callable[..., list[dict[str, Any]]],
) -> None:
    """Memory is the instance's; clocks are the GPU's; power, energy and utilisation are
    nobody's."""
    for record in sweep(
        f"{HEALTHY}\nmig 2", healthy=f"{HEALTHY}\nmig 2", begin=f"used {IDLE}\nmig 2\ngpus 2"
    ):
        assert list(record["conditions"]["cards"]) == ["CUDA0"], "CUDA shows a process one instance"
        assert card(record)["sm_mhz"] == [2520, 2520]
        assert card(record)["throttle"] == ["power_cap"]
        for name in (
            "power_w",
            "power_limit_w",
            "energy_j",
            "energy_method",
            "utilisation_percent",
        ):
            assert card(record)[name] is None
        assert set(card(record)["unread"]) == {"power", "power_limit", "energy", "utilisation"}
        assert {"the sensor is the whole GPU's, and this is a MIG instance"} == set(
            card(record)["unread"].values()
        )
        series = vram(record)
        assert series is not None
        assert series["peak_bytes"] == OWN


CARDS: Final = """
import json
from dataclasses import asdict
from oomph.measure.nvml import Nvml
from oomph.measure.visible import visible_cards
with Nvml() as nvml:
    cards = nvml.cards()
seen = [[c.index for c in visible_cards(cards, {"CUDA_VISIBLE_DEVICES": each} if each else {})]
        for each in ("", "0", "1", "MIG-101", "GPU-2", "MIG-101,GPU-2")]
print(json.dumps([[asdict(card) for card in cards], seen]))
"""


def test_instances_are_cards_and_a_process_sees_one(machine: Machine) -> None:
    machine.says.write_text("gpus 2\nmig 2\n")
    cards, seen = json.loads(machine.run("-c", CARDS).stdout)
    assert [(each["uuid"], each["number"], each["is_instance"]) for each in cards] == [
        ("MIG-100", 0, True),
        ("MIG-101", 0, True),
        ("GPU-2", 1, False),
    ]
    assert [each["total_bytes"] for each in cards] == [
        2 * 1024 * MIB,
        2 * 1024 * MIB,
        16 * 1024 * MIB,
    ]
    assert seen == [[0], [0], [2], [1], [2], [1]]


def test_a_card_that_this_process_may_not_use_is_left_out(machine: Machine) -> None:
    """As CUDA leaves it out; one without name, UUID or memory is still a card."""
    machine.says.write_text("gpus 2\nerror nvmlDeviceGetHandleByIndex_v2 4\n")
    assert json.loads(machine.run("-c", CARDS).stdout)[0] == []
    quiet = ("Name", "UUID", "CudaComputeCapability", "MemoryInfo", "MemoryInfo_v2")
    machine.says.write_text("".join(f"error nvmlDeviceGet{name} 3\n" for name in quiet))
    (only,), _ = json.loads(machine.run("-c", CARDS).stdout)
    assert (only["name"], only["uuid"], only["total_bytes"], only["usable_bytes"]) == (
        "a card without a name",
        "",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("says", "code", "mark", "words"),
    [
        (
            "error nvmlInitWithFlags 18",
            1,
            "!!",
            "version mismatch.  ->  the driver was updated while its kernel",
        ),
        ("error nvmlInitWithFlags 999", 1, "!!", "Unknown Error  ->  restart the container"),
        ("error nvmlInitWithFlags 4", 1, "!!", "Insufficient Permissions  ->  run it as a user"),
        ("error nvmlInitWithFlags 9", 0, "--", "Driver Not Loaded"),
        ("error nvmlDeviceGetHandleByIndex_v2 15", 1, "!!", "GPU is lost"),
        ("error * 15", 1, "!!", "GPU is lost"),
        (
            "error nvmlDeviceGetMemoryInfo 15\nerror nvmlDeviceGetMemoryInfo_v2 15",
            1,
            "!!",
            "GPU is lost",
        ),
        (
            "error nvmlDeviceGetMemoryInfo 3\nerror nvmlDeviceGetMemoryInfo_v2 3",
            0,
            "ok",
            "does not tell its memory",
        ),
        ("error nvmlSystemGetDriverVersion 3", 0, "ok", "does not tell its version"),
        ("error * 3", 0, "ok", "580.00"),
    ],
)
def test_the_doctor_names_the_fault_and_what_mends_it(
    machine: Machine, says: str, code: int, mark: str, words: str
) -> None:
    machine.says.write_text(says)
    done = machine.run("-c", "from oomph.cli import main; main()", "doctor")
    assert done.stderr == ""
    (line,) = [line for line in done.stdout.splitlines() if words in line]
    assert line.startswith(mark)
    missing = [
        line for line in done.stdout.splitlines() if line.startswith("!!") and words not in line
    ]
    assert done.returncode == code or missing


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (
            "error nvmlInitWithFlags 18",
            "NVML does not answer (RM has detected an NVML/RM version mismatch.); the driver",
        ),
        ("error * 15", "a card does not answer (GPU is lost); reset it or the machine"),
    ],
)
def test_a_card_that_is_lost_before_the_start_is_one_sentence(
    machine: Machine, says: str, sentence: str
) -> None:
    machine.says.write_text(says)
    body = "from oomph.measure.card_probe import CardProbe; CardProbe().open()"
    done = machine.run("-c", body)
    assert f"ToolchainError: {sentence}" in done.stderr or f"NvmlError: {sentence}" in done.stderr
