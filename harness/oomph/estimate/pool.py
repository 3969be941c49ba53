"""One backend's buffer as ggml's allocator fills it: a best fit among holes."""

from typing import Final

_UNBOUNDED: Final = 1 << 52
"""More bytes than any machine has, and few enough for the numbers of JavaScript, in which pages
compute the same."""
_TAKE: Final = -1
_GIVE_BACK: Final = -2


class Pool:
    """One backend's buffer: free blocks by offset, the last one without end (ggml_dyn_tallocr).
    Bytes are padded to its alignment before they come here.

    Its `decisions` are written down: which holes were large enough for a block and which was taken,
    what a block that was given back lay between, and when most was held. Of two runs with the same
    ones every comparison had the same sign.
    """

    __slots__ = ("decisions", "free", "live", "live_peak", "live_peak_at", "peak", "peak_at")

    def __init__(self) -> None:
        self.free: list[list[int]] = [[0, _UNBOUNDED]]
        self.peak = self.live = self.live_peak = 0
        self.decisions: list[int] = []
        self.peak_at = self.live_peak_at = 0
        """How many decisions there were when the peaks were reached."""

    def take(self, n: int) -> int:
        """The offset of a block of `n` bytes: from the smallest hole that holds it, the later one
        of equals."""
        free, decisions = self.free, self.decisions
        decisions.append(_TAKE)
        best, best_size = 0, _UNBOUNDED
        for i, block in enumerate(free):
            size = block[1]
            if n <= size:
                decisions.append(i)
                if size <= best_size:
                    best, best_size = i, size
        block = free[best]
        at = block[0]
        block[0] += n
        block[1] -= n
        if block[1]:
            decisions.append(best)
        else:
            decisions.append(_TAKE - best)
            del free[best]
        end = at + n
        if end > self.peak:
            self.peak, self.peak_at = end, len(decisions)
        self.live += n
        if self.live > self.live_peak:
            self.live_peak, self.live_peak_at = self.live, len(decisions)
        return at

    def give_back(self, at: int, n: int) -> None:
        """Free `n` bytes at `at`, merging with the hole before or after it."""
        free, decisions = self.free, self.decisions
        self.live -= n
        end, place = at + n, -1
        decisions.append(_GIVE_BACK)
        for i, block in enumerate(free):
            start = block[0]
            if start + block[1] == at:
                block[1] += n
                is_followed = i + 1 < len(free) and free[i + 1][0] == end
                if is_followed:
                    block[1] += free.pop(i + 1)[1]
                decisions.append(4 * i + (1 if is_followed else 0))
                return
            if start == end:
                block[0] = at
                block[1] += n
                decisions.append(4 * i + 2)
                return
            if place < 0 and start >= at:  # holes of nothing put the rest out of order, in ggml too
                place = i
        free.insert(place, [at, n])
        decisions.append(4 * place + 3)
