"""What llama-server's own --fit makes of a question, and of it when the context fills.

Fitting knows what is allocated at load. What grows while tokens run, the CUDA pool above all, has
to find room in the margin: "it loads" is not "it runs".
"""

from collections.abc import Sequence

from oomph.advise.first_failure import FirstFailure, first_failure
from oomph.cards import run_cards
from oomph.config import RunConfig
from oomph.estimate.draft import DraftModel, MtpHead
from oomph.estimate.estimator import Estimator
from oomph.estimate.fitting.question import LEAST_CONTEXT, FitQuestion
from oomph.estimate.fitting.search import fit_params
from oomph.estimate.memory import MemoryModel
from oomph.estimate.projector.rider import Projector
from oomph.frozen import frozen
from oomph.programs.fit_flags import FitFlags
from oomph.programs.said import Said


@frozen
class OwnFit:
    """`asked` is the configuration before, `config` the one that is loaded; `gave_up` is why no
    more was changed, None where llama.cpp believes that all fits.

    `left_bytes` is what each card has left once the context is full, negative where it lacks
    memory; `failure` is what then fails first. `n_layer` is the model's.
    """

    asked: RunConfig
    config: RunConfig
    n_layer: int
    gave_up: str | None
    left_bytes: Sequence[int]
    failure: FirstFailure | None


def own_fit(estimator: Estimator, said: Said, config: RunConfig) -> OwnFit | None:
    """What --fit makes of `config`, which came of what was said; None where it is off, or no card's
    memory is known."""
    if said.fit is None or not config.n_devices or not estimator.cards:
        return None
    cards = run_cards(estimator.cards, config.n_devices)
    n_ctx_is_said = "n_ctx" in said.knobs
    question = FitQuestion(
        config=config,
        free_bytes=[card.free_bytes or card.memory_bytes for card in cards],
        margin_bytes=_margins(estimator, said.fit, config),
        n_ctx_least=said.fit.n_ctx_least or (None if n_ctx_is_said else LEAST_CONTEXT),
        n_ctx_is_open=said.n_ctx is None,
        layers_are_open="n_gpu_layers" not in said.knobs,
    )
    drafters = (each for each in estimator.aboard(config) if isinstance(each, MtpHead | DraftModel))
    drafter = next((each.dry() for each in drafters if each.is_fitted), None)
    memory_model = MemoryModel(estimator.model, cards=cards, is_dry_run=True, store=estimator.store)
    fitted = fit_params(memory_model, question, drafter)
    memory = estimator.memory(fitted.config)
    room = estimator.room_bytes(fitted.config)
    return OwnFit(
        asked=config,
        config=fitted.config,
        n_layer=estimator.model.n_layer,
        gave_up=fitted.gave_up,
        left_bytes=[n - memory.devices[name].total_bytes for name, n in room.items()],
        failure=first_failure(estimator, fitted.config, memory),
    )


def _margins(estimator: Estimator, fit: FitFlags, config: RunConfig) -> list[int]:
    """What --fit is to leave of each card: as it was said, and room for the projector, which
    llama-server adds (server_context_impl::load_model)."""
    margins = fit.margins(config.n_devices)
    for rider in estimator.riders:
        if isinstance(rider, Projector):
            counted = rider.counted_by_fit(config)
            cards = run_cards(estimator.cards, config.n_devices)
            margins = [
                n + counted.get(card.device, 0) for n, card in zip(margins, cards, strict=True)
            ]
    return margins
