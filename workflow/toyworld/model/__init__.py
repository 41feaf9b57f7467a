"""The small Qwen2.5-VL of the presets: its architecture, its lessons, and its training."""
