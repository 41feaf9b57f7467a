#!/usr/bin/env bash
# Make the environment of the tests of lmms-eval: the harness itself, beside the libraries of the clone's environment.
# 80 MB. lmms-eval is installed without its requirements: two dozen packages are enough for VSI-Bench, and its own
# choice of torch, av and wandb would take gigabytes.
#
#   tests/lmms/install.sh .venv .venv-lmms
#
# Ends with 0 if the environment is ready, with 3 and the reason if this machine cannot have it.
set -euo pipefail
base=$1
env=$2
here=$(cd "$(dirname "$0")" && pwd)

[ "$env/ready" -nt "$here/install.sh" ] && exit 0

cannot() { echo "lmms-eval cannot be installed here: $*"; exit 3; }

[ -x "$env/bin/python" ] || "$base/bin/python" -m venv --without-pip "$env"
log=$env/install.log
packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
# Behind its own packages, so that the older filelock is found first.
packages "$base" >"$(packages "$env")/clone.pth"
"$base/bin/python" -m pip --python "$env/bin/python" install --quiet --no-compile --no-deps \
  lmms-eval==0.7.3 aiohappyeyeballs aiohttp aiosignal attrs chardet colorama dataproperty evaluate filelock==3.19.1 \
  frozenlist jsonlines loguru lxml mbstrdecoder multidict pathvalidate portalocker propcache pytablewriter \
  python-dotenv pytz qwen-vl-utils sacrebleu sentencepiece sqlitedict tabledata tcolorpy typepy yarl >"$log" 2>&1 ||
  cannot "$(grep ERROR "$log" | tail -n 1)"
touch "$env/ready"
