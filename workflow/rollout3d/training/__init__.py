"""Supervised fine-tuning and GRPO with object-centric 3D rollout: each loop on one screen, its parts beside it."""
