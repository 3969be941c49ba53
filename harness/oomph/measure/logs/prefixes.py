r"""What stands before a line of a log, taken off: times, levels, and who passed it on.

A log reaches its reader through journald, syslog, docker, compose, kubectl, llama-server's router,
Ollama, LM Studio, LocalAI or Python's logging, and each puts something in front; several may. What
is taken off is kept as far as it says something: `level` is llama.cpp's letter (E W I D), `stream`
the process or container that printed the line, so that runs that were printed at once can be told
apart.
"""

import json
import re
from typing import Final


class Line(str):
    """A log's line without what stood before it; equal to the string that it is."""

    __slots__ = ("level", "stream")
    level: str
    stream: str

    def __new__(cls, text: str, *, level: str = "", stream: str = "") -> "Line":
        """The line `text`; `level` is E, W, I or D, empty where nothing said one."""
        line = super().__new__(cls, text)
        line.level, line.stream = level, stream
        return line


_DATE: Final = r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}"
_CLOCK: Final = r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
_ZONE: Final = r"(?:Z| ?[+-][0-9]{2}:?[0-9]{2}| UTC)?"
_WHO: Final = r"\S{1,64} (?P<stream>[\w./@:-]{1,64}?(?:\[[0-9]{1,9}\])?): "
_PROCESS: Final = r"\S{1,64} (?P<stream>[\w./@:-]{1,64}?\[[0-9]{1,9}\]|kernel|systemd\S{0,20}): "
_LEVEL: Final = (
    r"(?P<level>DEBUG|DBG|VERB|TRACE|INFO|INF|NOTICE|WARN(?:ING)?|WRN|ERR(?:OR)?|FATAL|CRITICAL)"
)
_PREFIXES: Final = tuple(
    re.compile(pattern)
    for pattern in {
        "a quotation": r"(?:> ?){1,4}(?=\S)",
        "journald, syslog": r"\w{3,5}\.? {1,2}[0-9]{1,2} " + _CLOCK + " " + _WHO,
        "journald -o short-iso": _DATE + "T" + _CLOCK + _ZONE + " " + _PROCESS,
        "syslog's RFC 5424": r"(?:<[0-9]{1,3}>)?1 \S{1,40} \S{1,64} "
        r"(?P<stream>\S{1,64} \S{1,64}) \S{1,32} (?:-|\[[^\]]{0,200}\]) ",
        "journald -o cat": r"(?P<stream>[\w./@-]{1,64}\[[0-9]{1,9}\]): ",
        "compose": r"(?P<stream>[A-Za-z][\w.-]{0,63}) {0,40}\| (?! {0,3}-)",
        "kubectl logs --prefix": r"\[(?P<stream>pod/[^\]]{1,200})\] ",
        "llama-server's router": r"\[ {0,6}(?P<stream>[0-9]{1,6})\] (?! {0,12}[+-]? {0,3}[0-9]+ )",
        "the kernel": r"\[ {0,9}[0-9]{1,9}\.[0-9]{3,6}\] ",
        "docker, LM Studio, logging": r"\[?" + _DATE + "[T ]" + _CLOCK + _ZONE + r"\]?:? ?"
        r"(?:std(?:out|err) [FP] |[-|] (?=[A-Z]{3,8}\b))?",
        "a clock": r"\[?" + _CLOCK + r"(?:-[0-9]{6})?\]?[ |]{1,8}",
        "LocalAI": r"[0-9]{1,2}:[0-9]{2}[AP]M ",
        "LocalAI's backend": r"GRPC\((?P<stream>[^)]{1,200})\): (?:stderr|stdout) ",
        "llama.cpp since 2026": r"[0-9]{1,4}(?:\.[0-9]{2,3}){2,3} (?P<level>[EWIDT]) ",
        "llama.cpp with --log-prefix": r"(?P<level>[EWIDT]) (?=[a-z~_]{2,40}[: ])",
        "ik_llama.cpp": _LEVEL + r" \[ {1,40}\w{1,80}\] ",
        "a level in brackets": r"\[(?i:" + _LEVEL + r")\]:? {0,4}(?:- )?",
        "Python's logging": _LEVEL + r":[\w.]{1,40}:",
        "a level": _LEVEL + r"(?::| +[-|:]| {1,8}) {0,4}",
        "a name in brackets": r"\[[^\]]{1,60}\] (?=~?(?:llama|ggml|llm|print_info|load|clip|common"
        r"|sched)_?\w{0,40}: |srv  |slot  |main: |CUDA error)",
        "LM Studio": r"\[(?:LM STUDIO SERVER|LMSInternal|LMStudio)[^\]]{0,40}\]:? {0,4}",
    }.values()
)
_OLLAMA: Final = re.compile(
    r"time=\S{1,40} level=(?P<level>\w{1,8}) (?:source=\S{1,100} )?"
    r'msg=(?P<text>"(?:[^"\\]|\\.){0,1900}"|\S{1,200})'
)
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,200}\x07?)")
_MOST: Final = 6
_MESSAGE_KEYS: Final = ("log", "msg", "message", "MESSAGE")
_STREAM_KEYS: Final = ("container", "stream", "_PID")
_SYSTEM: Final = re.compile(r"kernel$|kernel\[|systemd\b|systemd\[|sudo\b")


def without_prefix(text: str) -> Line:
    """A line of a log as its program printed it."""
    level, stream = "", ""
    rest = (_ESCAPES.sub("", text) if "\x1b" in text else text).strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest, level, stream = _from_json(rest)
    for _ in range(_MOST):
        if rest.startswith("time=") and (match := _OLLAMA.match(rest)):
            rest = _unquoted(match["text"]) + rest[match.end() :]
            level = level or _letter(match["level"])
            continue
        match = next((match for each in _PREFIXES if (match := each.match(rest))), None)
        if match is None:
            break
        said = match.groupdict()
        level = level or _letter(said.get("level") or "")
        rest = rest[match.end() :].lstrip()
        if printed_by := said.get("stream"):
            if _SYSTEM.match(printed_by):
                break
            stream = printed_by
    return Line(rest.strip(), level=level, stream=stream)


def _letter(level: str) -> str:
    """llama.cpp's letter for a level's name."""
    letter = level[:1].upper()
    return {"F": "E", "C": "E", "N": "I", "V": "D", "T": "D"}.get(letter, letter)


def _from_json(text: str) -> tuple[str, str, str]:
    """The message, level and stream of a line that is one JSON object, as docker and journald -o
    json keep theirs; the text itself where it holds none."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text, "", ""
    message = next((said[key] for key in _MESSAGE_KEYS if isinstance(said.get(key), str)), None)
    if message is None:
        return text, "", ""
    level = said.get("level")
    streams = (str(said[key])[:64] for key in _STREAM_KEYS if said.get(key) not in (None, ""))
    return (
        message.rstrip("\n"),
        _letter(level if isinstance(level, str) else ""),
        next((each for each in streams if each not in ("stdout", "stderr")), ""),
    )


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return text[1:-1].replace('\\"', '"').replace("\\n", " ").replace("\\t", " ")
