"""Engines: a policy, an optimiser and a sampler that work as one. `choose.make_engine` puts them together.

- `policy`: the weights that are trained, adapters, and the reference;
- `plain`, `zero`: optimisers, of plain torch and of DeepSpeed; both describe their state as the same named tensors, so
  checkpoints of one can be resumed by the other, on any number of processes;
- `sampler`: rollouts by the present weights;
- `engine`: the passes of a step through these parts.
"""
