"""llama-cpp-python: a `Llama(...)` call, read and not run, or the flags of its server."""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from oomph.config import KNOBS, MAX_SEQUENCES, keys_of
from oomph.errors import ConfigError
from oomph.programs.pasted import WHERE, Collected, shortened

_KNOBS: Final = {key: knob for knob, key in keys_of("llama-cpp-python").items()}
_CLASS: Final[Mapping[str, Any]] = {"n_gpu_layers": 0, "flash_attn": "off"}
"""What the class Llama has where nothing is said (llama_cpp/llama.py), unlike the library under
it."""
_BATCH, _SERVED = 512, 2048
_UNREADABLE: Final = (SyntaxError, ValueError, RecursionError, MemoryError)
_UNMODELLED: Final = {
    "lora_path": "an adapter takes its file's size",
    "draft_model": "a draft takes memory of its own",
    "chat_handler": "a projector takes its file's size on the card and a compute buffer",
    "clip_model_path": "a projector takes its file's size on the card and a compute buffer",
    "rpc_servers": "part of the model lies on other machines, which are not counted",
    "use_mmap": "how the file is read: host memory",
    "use_mlock": "how the file is read: host memory",
    "cache": "a cache of prompts in host memory",
}
_IDLE: Final = (
    "verbose", "seed", "n_threads_batch", "chat_format", "logits_all", "vocab_only", "numa",
    "last_n_tokens_size", "rope_freq_base", "yarn_ext_factor", "yarn_attn_factor",
    "yarn_beta_fast", "yarn_beta_slow", "yarn_lora_path", "tokenizer", "host", "port", "no_perf",
    "model_alias", "api_key", "interrupt_requests", "local_dir", "cache_dir", "additional_files",
    "spm_infill", "root_path", "ssl_keyfile", "ssl_certfile", "lora_scale", "lora_base",
)  # fmt: skip


def is_call(text: str) -> bool:
    """Whether a text is Python that makes a `Llama`."""
    return re.search(r"\bLlama(?:\.from_pretrained)?\s*\(", text) is not None


def read_call(text: str, into: Collected) -> None:
    """Put what the first `Llama(...)` of a Python text says into `into`. ConfigError for a text
    that is no Python."""
    call = _call(text)
    try:
        given = {keyword.arg: _value(keyword.value) for keyword in call.keywords if keyword.arg}
        if call.args:
            given.setdefault("model_path", _value(call.args[0]))
    except RecursionError:
        raise ConfigError(f"{WHERE}: an argument of Llama is too deep to be read") from None
    _take(given, into, n_ctx=None)


def read_python_server(
    words: Sequence[str], environment: Mapping[str, str], into: Collected
) -> None:
    """Put what the flags of `python -m llama_cpp.server` say into `into`."""
    rest, given = list(words), dict[str, Any]()
    while rest:
        name, equals, glued = rest.pop(0).partition("=")
        key = name.removeprefix("--").replace("-", "_")
        value: Any = glued if equals else rest.pop(0) if rest else ""
        if key == "kv_overrides":
            override, _, typed = value.partition("=")
            value = {override: int(typed[4:])} if re.fullmatch(r"int:\d{1,9}", typed) else {}
        if name.startswith("--"):
            given["model_path" if key == "model" else key] = value
        else:
            into.add_unknown(name)
    _take(given, into, n_ctx=_SERVED)


def _call(text: str) -> ast.Call:
    found = re.search(r"\bLlama(?:\.from_pretrained)?\s*\([^()]*(?:\([^()]*\)[^()]*)*\)", text)
    for part in (text.strip(), *([found[0]] if found else [])):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of literals that are none
                tree = ast.parse(part)
        except _UNREADABLE:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _is_llama(node.func):
                return node
    raise ConfigError(f"{WHERE}: no call of Llama in it is Python that can be read")


def _is_llama(node: ast.expr) -> bool:
    """Whether a function is Llama or its from_pretrained, of whatever module."""
    if isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
        node = node.value
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) == "Llama"


def _value(node: ast.expr) -> Any:
    """A literal, the last name of `llama_cpp.GGML_TYPE_Q8_0`, a quotient; else the text of it, as a
    value that is not known."""
    if isinstance(node, ast.Attribute | ast.Name):
        return _Name(ast.unparse(node).rpartition(".")[2])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Mult):
        left, right = _value(node.left), _value(node.right)
        if isinstance(left, int | float) and isinstance(right, int | float) and right:
            return left / right if isinstance(node.op, ast.Div) else left * right
    try:
        return ast.literal_eval(node)
    except (*_UNREADABLE, TypeError):
        return _Name(ast.unparse(node))


class _Name(str):
    """Text that is a name in the program, not a value."""


def _take(given: Mapping[str, Any], into: Collected, *, n_ctx: int | None) -> None:
    into.knobs |= dict(_CLASS) | ({} if n_ctx is None else {"n_ctx": n_ctx})
    repository, path = given.get("repo_id"), given.get("model_path", given.get("filename"))
    if isinstance(path, str) and not isinstance(path, _Name):
        into.model = f"hf:{repository}/{path}" if isinstance(repository, str) else path
    for name, value in given.items():
        if name in ("model_path", "repo_id", "filename", "hf_model_repo_id"):
            continue
        if name == "kv_overrides":
            _overrides(value, into)
        elif (knob := _KNOBS.get(name)) is not None:
            _knob(knob, name, value, into)
        elif name in _UNMODELLED:
            if value not in (False, None, "", "false", "False"):
                into.add_unmodelled(f"{name}={value}", _UNMODELLED[name])
        elif name in _IDLE:
            into.idle.append(name)
        else:
            into.add_unknown(f"{name}={value}", [*_KNOBS, *_UNMODELLED, *_IDLE])
    _batches(into)


def _knob(knob: str, name: str, value: Any, into: Collected) -> None:
    declared = KNOBS[knob]
    if value is None:
        return
    if isinstance(value, _Name):
        if not (declared.enumeration and declared.enumeration in value):
            into.add_unmodelled(f"{name}={value}", "a name whose value is not in the text")
            return
        value = value.removeprefix(declared.enumeration).lower()
    if declared.choices and isinstance(value, int) and not isinstance(value, bool):
        value = next((word for word, n in declared.choices.items() if n == value), str(value))
    if knob == "flash_attn":
        value = "on" if str(value).lower() in ("true", "1", "on") else "off"
    if declared.is_reciprocal and isinstance(value, int | float | str):
        try:
            value = 1 / float(value)
        except (ValueError, ZeroDivisionError):
            return  # 0 is the model's own
    if isinstance(value, list | tuple):
        value = ",".join(str(part) for part in value)
    into.take(knob, str(value) if not isinstance(value, bool | int | float | str) else value, name)


def _overrides(value: Any, into: Collected) -> None:
    for key, number in value.items() if isinstance(value, dict) else ():
        if str(key).endswith(".expert_used_count") and isinstance(number, int):
            into.take("n_expert_used", number, "kv_overrides")
        else:
            effect = "the file's own value stands in the figures"
            into.add_unmodelled(f"kv_overrides {shortened(str(key))}", effect)


def _batches(into: Collected) -> None:
    """The class cuts its batches to the context, and n_ubatch to n_batch; for embeddings it has as
    many sequences as a batch has tokens, over one cache."""
    n_ctx = into.knobs.get("n_ctx") or _BATCH
    n_batch = into.knobs.setdefault("n_batch", min(n_ctx, _BATCH))
    into.knobs["n_ubatch"] = min(n_batch, into.knobs.get("n_ubatch", _BATCH))
    if into.knobs.get("embeddings"):
        into.knobs |= {"n_seq_max": min(n_batch, MAX_SEQUENCES), "kv_unified": True}
