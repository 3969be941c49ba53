"""What the what-if page draws of an answer, made by the package and in the page alike."""

from oomph.estimate.prediction import (
    COMPONENTS,
    DeviceMemory,
    Prediction,
    SpeedEstimate,
    is_card,
)
from oomph.frozen import frozen
from oomph.views.trust_words import trust_sentence


@frozen
class Place:
    """A bar: a card, or the host with all that lies in its memory. `parts` are bytes in the order
    of COMPONENTS; `limit_bytes` is None where no limit is known."""

    name: str
    parts: tuple[int, ...]
    limit_bytes: int | None


@frozen
class Shown:
    """What is drawn of one answer, plain enough for JSON.

    The cards and, as the last place, the host; whether it fits; how fast it is, or why no speed is
    told; what the host holds besides (`prompt_cache_bytes` is None without a limit); and what else
    is to be said.
    """

    places: tuple[Place, ...]
    on_cards: bool
    fits: bool | None
    fit_probability: float | None
    speed: SpeedEstimate | None
    speed_reason: str | None
    host_state: str | None
    process_bytes: int
    checkpoints_bytes: int
    prompt_cache_bytes: int | None
    notes: tuple[str, ...]


def shown_of(answer: Prediction) -> Shown:
    """The part of `answer` that a page draws."""
    devices = answer.memory.devices
    cards = [name for name in devices if is_card(name)]
    limits = {card.device: card.memory_bytes for card in answer.cards}
    host = answer.host
    return Shown(
        places=(
            *[
                Place(
                    name=name if len(cards) > 1 else "Card",
                    parts=_parts([devices[name]]),
                    limit_bytes=limits.get(name),
                )
                for name in cards
            ],
            Place(
                name="Host",
                parts=_parts([devices[name] for name in devices if not is_card(name)]),
                limit_bytes=None if host.is_shared else host.room_bytes,
            ),
        ),
        on_cards=answer.config.n_devices > 0,
        fits=answer.fits,
        fit_probability=answer.fit_probability,
        speed=answer.speed,
        speed_reason=answer.speed_reason,
        host_state=host.state,
        process_bytes=host.memory.process_bytes,
        checkpoints_bytes=host.memory.checkpoints_bytes,
        prompt_cache_bytes=host.memory.prompt_cache_bytes,
        notes=(*answer.warnings, trust_sentence(answer.memory.trust)),
    )


def _parts(devices: list[DeviceMemory]) -> tuple[int, ...]:
    return tuple(sum(getattr(device, part) for device in devices) for part in COMPONENTS)
