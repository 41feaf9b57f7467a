"""Client of models behind an OpenAI-compatible API: retries, a spending limit, and a cache of paid replies."""
