"""Worlds drawn from a seed: rooms, what stands in them, and what each dataset calls it."""
