"""The command lines of the toy world: one thin file per rule, `python -m toyworld.stages.NAME`."""
