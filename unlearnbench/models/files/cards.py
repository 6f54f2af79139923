"""The models that ship with the package or that it knows by a short name."""

from .card import ModelCard

TINY_QWEN2_5_VL = ModelCard(
    name="tiny-qwen2.5-vl",
    family="qwen2_5_vl",
    source="unlearnbench.embedded:tiny-qwen2.5-vl",
    scale="tiny",
    data="embedded",
    min_pixels=28 * 28,
    max_pixels=140 * 140,
    description="Qwen2.5-VL's classes with 1.5 M trained parameters; ships with the package, needs no network",
)
QWEN2_5_VL_3B = ModelCard(
    name="qwen2.5-vl-3b",
    family="qwen2_5_vl",
    source="Qwen/Qwen2.5-VL-3B-Instruct",
    description="Qwen2.5-VL 3B Instruct from the Hugging Face hub",
)
QWEN2_5_VL_7B = ModelCard(
    name="qwen2.5-vl-7b",
    family="qwen2_5_vl",
    source="Qwen/Qwen2.5-VL-7B-Instruct",
    description="Qwen2.5-VL 7B Instruct from the Hugging Face hub, the model of the CAGUL paper's second table",
)
TINY_MLLAMA = ModelCard(
    name="tiny-mllama",
    family="mllama",
    source="unlearnbench.embedded:tiny-mllama",
    scale="tiny",
    data="embedded",
    description="Llama-3.2-Vision's classes with 2.1 M trained parameters; ships with the package, needs no network",
)
LLAMA_3_2_11B_VISION = ModelCard(
    name="llama-3.2-11b-vision",
    family="mllama",
    source="meta-llama/Llama-3.2-11B-Vision-Instruct",
    description="Llama 3.2 11B Vision Instruct from the Hugging Face hub, gated; of the CAGUL paper's main table",
)
