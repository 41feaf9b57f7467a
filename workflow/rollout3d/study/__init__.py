"""The study as a graph of jobs, and what of it is current: decided by lineage, never by times.

Light: the Snakefile imports it. Snakemake's rules say how jobs connect; `rules/lineage.smk` hands them over one by one.
"""

from rollout3d.study.graph import Job, Study
from rollout3d.study.state import State, States

__all__ = ["Job", "State", "States", "Study"]
