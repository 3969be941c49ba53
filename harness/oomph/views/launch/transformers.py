"""transformers and vLLM: the same RoPE scaling as a patch of the model's config.json.

A GGUF needs none of it. Newer releases of transformers call the object rope_parameters, and keep
rope_theta in it.
"""

import json

from oomph.advise.launch_plan import Launch
from oomph.programs.spelling import NoSpellingError


def render_config_patch(launch: Launch) -> str:
    """The keys to merge into config.json. Unsayable where n_ctx needs no scaling."""
    scaling = launch.scaling
    if scaling is None:
        raise NoSpellingError("n_ctx needs no RoPE scaling, so config.json stays as it is")
    rope: dict[str, object] = {"rope_type": scaling.type, "factor": scaling.factor}
    if scaling.type == "yarn":
        rope["original_max_position_embeddings"] = scaling.original_context_length
    return (
        json.dumps({"rope_scaling": rope, "max_position_embeddings": scaling.n_ctx}, indent=2)
        + "\n"
    )
