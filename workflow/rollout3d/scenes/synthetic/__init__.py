"""Procedural rooms: built, filmed, and written in the releases' own formats; imports neither readers nor geometry."""
