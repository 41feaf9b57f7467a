"""Qwen2.5-VL, in this folder only: prompts from frames and text, positions, loading, generation, answers."""
