"""The only room that knows Qwen2.5-VL: frames and text to prompts, positions, loading, generation, answers."""
