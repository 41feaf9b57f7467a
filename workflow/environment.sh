# Sourced by bash before the command of every rule, after conda has activated the rule's environment.
#
# ROLLOUT3D_CODE: this clone's workflow/, first on PYTHONPATH: an editable install may name another clone.
# ROLLOUT3D_MODULES: what `module load` is given.
# ROLLOUT3D_PYTHON_<stage>: interpreter of the stage's own environment (site.python); its folder comes first on PATH.

if [ -n "${ROLLOUT3D_MODULES:-}" ]; then
  rollout3d_python=$(dirname "$(command -v python)")
  set +eu
  if ! command -v module >/dev/null 2>&1; then
    for rollout3d_file in /etc/profile.d/*lmod*.sh /etc/profile.d/modules.sh; do
      if [ -r "$rollout3d_file" ]; then . "$rollout3d_file"; fi
    done
  fi
  if ! module load $ROLLOUT3D_MODULES; then
    echo "error: 'module load $ROLLOUT3D_MODULES' failed: correct ROLLOUT3D_MODULES (docs/cluster.md)" >&2
    exit 1
  fi
  set -eu
  # A module may bring a python of its own.
  export PATH="$rollout3d_python:$PATH"
fi

# A command that is too long for an argument lies in the script that bash runs.
rollout3d_command=${BASH_EXECUTION_STRING:-$(cat "$0")}
if [[ $rollout3d_command =~ (-m|#)\ [a-z0-9_]+\.stages\.([a-z0-9_]+) ]]; then
  rollout3d_python=ROLLOUT3D_PYTHON_${BASH_REMATCH[2]}
  if [ -n "${!rollout3d_python:-}" ]; then
    if [ ! -x "$(dirname "${!rollout3d_python}")/python" ]; then
      echo "error: no python in $(dirname "${!rollout3d_python}"): correct site.python in config/local.yaml" >&2
      exit 1
    fi
    export PATH="$(dirname "${!rollout3d_python}"):$PATH"
  fi
fi
unset rollout3d_command rollout3d_python rollout3d_file

export PYTHONPATH="$ROLLOUT3D_CODE${PYTHONPATH:+:$PYTHONPATH}"
