"""What a command line stands in, taken off: docker, compose, systemd, sudo, Dockerfiles.

A text becomes the words of one program that oomph knows, and the variables that it is started with.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import PureWindowsPath
from typing import Final

from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.programs.pasted import WHERE, shortened
from oomph.programs.shell import ASSIGNMENT, Command, read_commands, straightened

STARTERS: Final[Mapping[str, str]] = {
    "llama-server": "llama-server",
    "llama-cli": "llama-cli",
    "llama-completion": "llama-cli",
    "llama-bench": "llama-bench",
    "koboldcpp": "koboldcpp",
    "koboldcpp.py": "koboldcpp",
    "ollama": "ollama",
    "lms": "lm-studio",
    "server.py": "text-generation-webui",
    "start_linux.sh": "text-generation-webui",
    "start_macos.sh": "text-generation-webui",
    "start_windows.bat": "text-generation-webui",
    "textgen": "text-generation-webui",
    "llama_cpp.server": "llama-cpp-python",
    "server": "llama-server",
    "main": "llama-cli",
}
"""The program that a command's first word starts; the last two are llama.cpp's of 2023."""
_IMAGES: Final = re.compile(
    r"(?:^|/)(?:(?:llama\.cpp|llama-cpp[\w-]*)(?::(?P<kind>server|full|light))?[\w.-]*"
    r"|(?P<ollama>ollama/ollama)(?:[:@][\w.-]+)?|(?P<kobold>koboldcpp)(?:[:@][\w.-]+)?)$"
)
_FULL: Final = {
    "--server": "llama-server",
    "-s": "llama-server",
    "--bench": "llama-bench",
    "-b": "llama-bench",
    "--run": "llama-cli",
    "-r": "llama-cli",
    "--run-legacy": "llama-cli",
    "-l": "llama-cli",
}
"""The first word for the image with all tools (llama.cpp, .devops/tools.sh)."""
_ONE: Final = {
    "serve": "llama-server",
    "server": "llama-server",
    "cli": "llama-cli",
    "client": "llama-cli",
    "completion": "llama-cli",
    "complete": "llama-cli",
    "bench": "llama-bench",
}
"""What follows `llama`, the program of all tools (llama.cpp, app/llama.cpp)."""
_OLD: Final = ("server", "main")
_CONTAINERS: Final = ("docker", "podman", "nerdctl")
_WRAPPERS: Final = re.compile(
    r"sudo|doas|nohup|env|time|exec|nice|ionice|numactl|taskset|chrt|setsid|stdbuf|python[\d.]*|py|uvx?"
    r"|systemd-run|systemd-inhibit|srun|screen|tmux|start|wsl|bash|sh|zsh|cmd|powershell|pwsh"
    r"|docker|podman|nerdctl|do|then|nix|distrobox|toolbox|gdb|nsys"
)
"""Programs that start another."""
_SHELLS: Final = ("bash", "sh", "zsh", "cmd", "powershell", "pwsh")
_RUN: Final = ("-c", "-lc", "/c", "-command")
_DEEPEST: Final = 3


@frozen
class Invocation:
    """A program by oomph's name of it, the words after its own, the variables it starts with; how
    many `others` stand in the text."""

    program: str
    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    others: int = 0


def read_invocation(text: str) -> Invocation:
    """The first command of a text that starts a program which oomph knows; words that begin with a
    dash alone are a program's that nobody named (""). ConfigError where there is none."""
    plain = straightened(text)
    commands = [Command(words=()), *_unwrapped(plain)] if plain.strip() else []
    found = [each for command in commands for each in _started(command, _DEEPEST)]
    if found:
        return replace(found[0], others=len(found) - 1)
    bare = next((each for each in commands if each.words), None)
    if bare is None:
        variables = _variables(plain)
        if variables:
            return Invocation(program="", words=(), environment=variables)
        raise ConfigError(f"{WHERE}: there is no command in it")
    if bare.words[0] == "docker" and len(bare.words) > 1:
        bare = Command(words=bare.words[1:], environment=bare.environment)
    if bare.words[0].startswith("-"):
        return Invocation(program="", words=bare.words, environment=bare.environment)
    names, first = ", ".join(dict.fromkeys(STARTERS.values())), shortened(bare.words[0])
    raise ConfigError(f"{WHERE}: {first!r} starts no program that oomph knows; it knows {names}")


def _variables(text: str) -> dict[str, str]:
    """The variables of a text that has nothing else, as of an .env file."""
    pairs = (
        re.match(r"\s*(?:export\s+)?([A-Z][A-Z0-9_]*)=(.*)", line) for line in text.split("\n")
    )
    return {pair[1]: pair[2].strip().strip("\"'") for pair in pairs if pair}


def _unwrapped(text: str) -> Iterator[Command]:
    """The commands of a text: of a systemd unit, a compose file, a Dockerfile, or a shell's."""
    if re.search(r"(?m)^[ \t]*ExecStart\s*=", text):
        yield _unit(text)
    elif re.search(
        r"(?m)^[ \t]*(?:-\s+)?(?:services|image|command|args|entrypoint|containers|cmd):", text
    ):
        yield from _compose(text)
    elif re.search(r"(?m)^[ \t]*(?:FROM|ENTRYPOINT|CMD)\s", text) and re.search(
        r"(?m)^[ \t]*(?:ENTRYPOINT|CMD)\s", text
    ):
        yield _dockerfile(text)
    else:
        yield from read_commands(text)


def _started(command: Command, depth: int) -> Iterator[Invocation]:
    """The program that a command starts, if what stands before it is known to start programs."""
    environment, words = dict(command.environment), command.words
    first = _name(words[0]) if words else ""
    if first != "llama" and first not in STARTERS and not _WRAPPERS.fullmatch(first):
        return
    if any(_name(word) in _CONTAINERS for word in words[:2]):
        at = next((at for at, word in enumerate(words) if _IMAGES.search(word)), None)
        if at is not None:
            own = dict(_assignments(words[:at]))
            yield from _contained(words[at], words[at + 1 :], environment | own)
            return
    for at, word in enumerate(words):
        rest = words[at + 1 :]
        if _name(word) in _SHELLS and depth and len(rest) > 1 and rest[0].lower() in _RUN:
            for inner in read_commands(" ".join(rest[1:])):
                merged = {**environment, **inner.environment}
                yield from _started(Command(words=inner.words, environment=merged), depth - 1)
            return
        program = STARTERS.get(_name(word), "") if at == 0 or _name(word) not in _OLD else ""
        if _name(word) == "llama" and rest and rest[0] in _ONE:
            program, rest = _ONE[rest[0]], rest[1:]
        if program:
            own = dict(_assignments(words[:at]))
            yield Invocation(program=program, words=rest, environment=environment | own)
            return


def _assignments(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The variables among the words before a program: `A=B`, `-e A=B`, `--env=A=B`."""
    for word in words:
        if match := ASSIGNMENT.fullmatch(word.removeprefix("--env=")):
            yield match[1], match[2]


def _contained(
    name: str, rest: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Invocation]:
    """What a container of the image starts."""
    image, words = _IMAGES.search(name), tuple(rest)
    if image is None:
        return
    if words and _name(words[0]) in STARTERS:
        program, words = STARTERS[_name(words[0])], words[1:]
    elif image["ollama"]:
        program, words = "ollama", ("serve", *words)
    elif image["kobold"]:
        program = "koboldcpp"
    elif image["kind"] == "full" and words and words[0] in _FULL:
        program, words = _FULL[words[0]], words[1:]
    else:
        program = "llama-cli" if image["kind"] == "light" else "llama-server"
    yield Invocation(program=program, words=words, environment=environment)


def _name(word: str) -> str:
    """A program's name without its folder (either system's), `.exe` and koboldcpp's platform."""
    name = PureWindowsPath(word).name.lower().removesuffix(".exe")
    return "koboldcpp" if re.fullmatch(r"koboldcpp[-_\w.]*(?<!\.py)", name) else name


def _unit(text: str) -> Command:
    """ExecStart and Environment of a systemd unit."""
    joined = re.sub(r"\\[ \t]*\n", " ", text)
    environment, words = dict[str, str](), tuple[str, ...]()
    for key, value in re.findall(r"(?m)^[ \t]*(ExecStart|Environment)\s*=(.*)$", joined):
        commands = read_commands(value.strip().lstrip("@-:+!") or "-")
        if key == "ExecStart" and not words and commands:
            words = commands[0].words
        elif key == "Environment":
            environment |= _assigned(value)
    return Command(words=words, environment=environment)


def _assigned(value: str) -> dict[str, str]:
    """The variables of a line such as `A=B "C=D E"`."""
    words = [word for command in read_commands(f"x {value}") for word in command.words[1:]]
    return dict(_assignments(words))


def _dockerfile(text: str) -> Command:
    """ENTRYPOINT and CMD of a Dockerfile, after its image and variables."""
    joined = re.sub(r"\\[ \t]*\n", " ", text)
    rows = re.findall(r"(?m)^[ \t]*(FROM|ENV|ENTRYPOINT|CMD)\s+(.*)$", joined)
    last = dict(rows)
    environment = dict[str, str]()
    for key, value in rows:
        if key == "ENV":
            pair = value if "=" in value else value.replace(" ", "=", 1)
            environment |= _assigned(pair)
    words = ["docker", *last.get("FROM", "").split()[:1]]
    words += [*_listed(last.get("ENTRYPOINT", "")), *_listed(last.get("CMD", ""))]
    return Command(words=tuple(words), environment=environment)


def _compose(text: str) -> Iterator[Command]:
    """What each container of a compose file or a pod starts: its image, entrypoint, command and
    variables; for llama-swap the `cmd` of each model."""
    containers = dict[int, dict[str, list[str]]]()
    for container, key, words in _keys(text.split("\n")):
        containers.setdefault(container, {}).setdefault(key, []).extend(words)
    for values in containers.values():
        environment = dict(_assignments(values.get("environment", [])))
        words = values.get("cmd") or ["docker"]
        words += [word for key in _PARTS for word in values.get(key, [])]
        yield Command(words=tuple(words), environment=environment)


_PARTS: Final = ("image", "entrypoint", "command", "args")
_KEY: Final = re.compile(
    r"(?P<indent>\s*(?:-\s+)?)(?P<key>image|entrypoint|command|args|environment|env|cmd):"
    r"(?:\s+(?P<value>.*)|\s*)$"
)


def _keys(lines: Sequence[str]) -> Iterator[tuple[int, str, list[str]]]:
    """The keys that say what a container starts, each with the container's number and its
    words."""
    container, margin = 0, 0
    for at, line in enumerate(lines):
        if line.strip() and _indent(line) < margin:  # out of the container that was
            container, margin = container + 1, 0
        if not (match := _KEY.fullmatch(line)):
            continue
        margin = len(match["indent"].replace("-", " "))
        value = (match["value"] or "").strip()
        key = "environment" if match["key"] == "env" else match["key"]
        yield container, key, _block_words(key, value, list(_block(lines[at + 1 :], margin)))


def _block(lines: Sequence[str], margin: int) -> Iterator[str]:
    """The lines that belong to the key above them, which stands at `margin`."""
    for line in lines:
        is_item = line.lstrip().startswith("- ") and _indent(line) == margin
        if line.strip() and _indent(line) <= margin and not is_item:
            return
        if line.strip():
            yield line.strip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block_words(key: str, value: str, block: list[str]) -> list[str]:
    """The words of a key's value, on its line or in the lines below it."""
    block = [line for line in block if not line.startswith("#")]
    if key == "environment":
        return list(_pairs(block))
    if value and value[0] not in ">|":
        whole = " ".join((value, *(block if value.startswith("[") and "]" not in value else ())))
        return _listed(_unquoted(whole))
    if block and all(line.startswith("- ") or line == "-" for line in block):
        return [_unquoted(line[1:].strip()) for line in block]
    return _listed(" ".join(line.removesuffix("\\") for line in block))


def _pairs(block: Sequence[str]) -> Iterator[str]:
    """`A=B` for each of `- A=B`, `A: B`, or a pod's `- name: A` and `value: B`."""
    name = ""
    for line in block:
        bare = _unquoted(line.removeprefix("- ").strip())
        key, colon, value = bare.partition(":")
        if key == "name" and colon:
            name = _unquoted(value.strip())
        elif key == "value" and colon and name:
            yield f"{name}={_unquoted(value.strip())}"
        elif ASSIGNMENT.fullmatch(bare):
            yield bare
        elif colon:
            yield f"{key.strip()}={_unquoted(value.strip())}"


def _unquoted(text: str) -> str:
    """A YAML scalar without its quotes and the comment after it."""
    text = re.split(r"\s#", text, maxsplit=1)[0].strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1].replace('\\"', '"')
    return text


def _listed(text: str) -> list[str]:
    """The words of `["a", "b"]`, or of a line as a shell reads it."""
    if text.startswith("["):
        try:
            found = json.loads(text.replace("'", '"') if '"' not in text else text)
        except (ValueError, RecursionError):
            found = [_unquoted(part) for part in text.strip("[]").split(",")]
        if isinstance(found, list):
            return [str(word) for word in found if not isinstance(word, list | dict)]
    return [word for command in read_commands(text) for word in command.words]
