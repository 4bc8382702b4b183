"""Low-rank adapters on a pretrained language model (Hu et al. 2022), by the library peft.

Only the adapters and the parts around the language model learn; afterwards the adapters are added to the weights, so
that what is saved loads as any other generator. peft comes with ``pip install unihm[lora]``.
"""

from __future__ import annotations

from typing import Any

from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapted(body: Qwen3Model, rank: int) -> Any:
    """Put adapters into a language model, in place, and freeze everything else in it.

    Args:
        body: The language model.
        rank: Of the adapters.

    Returns:
        What `merged` needs to take them out again.

    Raises:
        ValueError: The rank is not positive, or peft is not installed.
    """
    if rank < 1:
        raise ValueError(f"--lora is {rank}, expected a rank of at least 1.")
    try:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
    except ImportError as error:
        raise ValueError("--lora needs the library peft: pip install 'unihm[lora]'.") from error
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_LAYERS)
    return LoraModel(body, config, "default")


def merged(tuner: Any) -> Qwen3Model:
    """The language model with its adapters added to its weights."""
    return tuner.merge_and_unload()
