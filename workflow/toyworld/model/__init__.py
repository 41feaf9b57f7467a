"""The small Qwen2.5-VL: its architecture and tokenizer, and the lessons on rendered rooms that train it."""
