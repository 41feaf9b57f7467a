"""`python -m rollout3d.stages NAME ...` is `rollout3d NAME ...`, of whichever clone comes first on PYTHONPATH."""

from rollout3d.stages import main

main()
