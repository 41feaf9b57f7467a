"""Snakemake that asks Slurm every second: its plugin waits ten seconds longer after every look that found nothing."""

import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 1.0, lambda self, seconds: None)

if __name__ == "__main__":
    main(sys.argv[1:])
