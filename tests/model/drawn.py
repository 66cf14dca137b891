"""Small configs of every structure, drawn at random."""

from typing import Any

from hypothesis import strategies as st

__all__ = ["configs"]


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A decoder's config.json: dense or with experts, full or windowed, grouped or latent attention, hybrid or not."""
    head_dim = draw(st.sampled_from([8, 16, 64]))
    groups = draw(st.sampled_from([1, 2, 4]))
    heads = groups * draw(st.sampled_from([1, 2, 8]))
    layers = draw(st.integers(min_value=1, max_value=12))
    config: dict[str, Any] = {
        "model_type": draw(
            st.sampled_from(["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "nemotron", "gpt_oss", "llama4_text"])
        ),
        "hidden_size": draw(st.sampled_from([32, 128, 640])),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "head_dim": head_dim,
        "intermediate_size": draw(st.sampled_from([64, 96, 1024])),
        "vocab_size": draw(st.sampled_from([100, 1024, 32000])),
        "tie_word_embeddings": draw(st.booleans()),
    }
    if draw(st.booleans()):
        config["sliding_window"] = draw(st.integers(min_value=1, max_value=64))
    if draw(st.booleans()):
        config |= {"num_local_experts": 8, "num_experts_per_tok": draw(st.integers(min_value=1, max_value=8)), "moe_intermediate_size": 32}
    if draw(st.booleans()):
        config |= {
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 4,
            "v_head_dim": 8,
            "q_lora_rank": draw(st.sampled_from([None, 24])),
        }
    elif draw(st.booleans()):
        config |= {"mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 16, "layer_types": ["mamba", "attention"] * layers}
    return config
