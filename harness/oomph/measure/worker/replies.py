"""How a process that runs llama.cpp answers its parent: events, failures among them, as JSON."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

from oomph.measure.worker.loading import StageError
from oomph.measure.worker.protocol import FAILED, Say


def answer(reply_fd: int, serve: Callable[[IO[str], Say], None]) -> int:
    """Let `serve` take commands from stdin and say events on the descriptor: 0 when stdin ended, 1
    when llama.cpp returned an error, whatever kills it otherwise."""
    with os.fdopen(reply_fd, "w") as replies:

        def say(event: str, **values: Any) -> None:
            said = {"event": event, "at_ns": time.monotonic_ns(), **values}
            replies.write(json.dumps(said) + "\n")
            replies.flush()

        try:
            serve(sys.stdin, say)
        except StageError as error:
            say(FAILED, stage=error.stage, message=str(error))
            return 1
    return 0
