"""KAD inside vLLM: one model of its registry made of two or three, whose logits are log π.

vLLM's scheduler, paged cache, sampler and rejection sampler do the rest: batches that requests join and leave, prefix caching,
tensor parallelism, an OpenAI server, and speculation with the proxy as the draft model. Nothing of vLLM is copied here, and it
is imported only where it runs. It loads `kad.engines.vllm.plugin` in each of its processes.
"""

from .arguments import arguments as arguments
from .engine import VLLM as VLLM
