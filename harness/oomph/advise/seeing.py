"""Ways to spend less of a card on a projector."""

from collections.abc import Sequence

from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.projector.rider import Projector


def projector_on_host(estimator: Estimator, config: RunConfig) -> Sequence[RunConfig]:
    """The same with the projector in host memory, where it is on a card."""
    is_on_card = config.mmproj_offload and config.n_devices > 0
    return [config.with_(mmproj_offload=False)] if is_on_card and _sees(estimator) else []


def smaller_images(estimator: Estimator, config: RunConfig) -> Sequence[RunConfig]:
    """The same with fewer tokens an image, halved each time, as long as that keeps the encoder's
    buffer from growing."""
    tried: list[RunConfig] = []
    for projector in _sees(estimator):
        memory = projector.memory(config)
        if not memory.has_known_graph or not memory.sizes.max_pixels:
            continue
        least, most = memory.sizes.token_range
        while most // 2 >= max(least, 1) and _grows(projector, (tried or [config])[-1]):
            most //= 2
            tried.append(config.with_(image_max_tokens=most))
    return tried


def _grows(projector: Projector, config: RunConfig) -> bool:
    """Whether an image makes the projector's buffer grow past what is reserved at load."""
    memory = projector.memory(config)
    loaded, largest = memory.at_load().bytes, memory.of_largest().bytes
    return largest[memory.device] > loaded[memory.device]


def _sees(estimator: Estimator) -> list[Projector]:
    return [rider for rider in estimator.riders if isinstance(rider, Projector)]
