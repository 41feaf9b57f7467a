import pytest
import torch

from toyworld.model.architecture import SPECIALS, build_tiny, tiny_config, tiny_tokenizer


def test_any_text_survives_the_tokeniser(tokenizer):
    text = "Wie viele Stühle? 椅子 🪑 3.5 m\n\n<think>x</think>"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_numbers_are_written_in_pairs_of_digits(tokenizer):
    tokens = tokenizer.convert_ids_to_tokens(tokenizer.encode("173 cm or 20.5 m"))
    assert [token for token in tokens if token[0].isdigit()] == ["17", "3", "20", "5"]


def test_a_saved_tokeniser_reads_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    text = "<|im_start|>The sofa is 173 cm long, 20.5 m away."
    assert AutoTokenizer.from_pretrained(tmp_path).encode(text) == tokenizer.encode(text)


def test_control_tokens_end_the_vocabulary_in_the_order_of_qwen(tokenizer):
    ids = tokenizer.convert_tokens_to_ids(list(SPECIALS))
    assert ids == list(range(len(tokenizer) - len(SPECIALS), len(tokenizer)))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert tokenizer.decode(tokenizer.encode("a<|im_end|>"), skip_special_tokens=True) == "a"


def test_frequent_words_become_tokens_and_the_size_is_kept():
    tokenizer = tiny_tokenizer(["the refrigerator is left of the sofa"] * 50, 400)
    assert len(tokenizer) <= 400
    assert len(tokenizer.encode(" refrigerator")) == 1
    with pytest.raises(ValueError, match="too small"):
        tiny_tokenizer(["x"], 300)


def test_the_default_model_is_a_small_qwen(tokenizer):
    config = tiny_config(1500)
    assert config.text_config.rope_parameters["mrope_section"] == [4, 6, 6]
    assert config.vision_config.tokens_per_second == 2
    assert config.vision_config.window_size == 112
    assert config.tie_word_embeddings
    assert 1e6 < sum(weight.numel() for weight in build_tiny(tokenizer).model.parameters()) < 3e6


def test_axes_share_the_head_as_in_the_released_models():
    assert tiny_config(1500, head_dim=128, hidden=256, vision_hidden=128).text_config.rope_parameters[
        "mrope_section"
    ] == [16, 24, 24]
    with pytest.raises(ValueError, match="multiples"):
        tiny_config(1500, hidden=100)


def test_weights_depend_on_the_seed_and_on_nothing_else(tokenizer):
    sizes = {"hidden": 32, "layers": 1, "vision_hidden": 32, "vision_depth": 1}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = build_tiny(tokenizer, seed=3, **sizes).model.state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = build_tiny(tokenizer, seed=3, **sizes).model.state_dict()
    other = build_tiny(tokenizer, seed=4, **sizes).model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])
