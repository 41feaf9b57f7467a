# make demo: set up and run the whole pipeline on synthetic scans (minutes, two CPU cores, no GPU)
# make seeing: does training use the video? | make spacer-demo: SpaceR and Spatial-R1 in minutes
# make study: rollout methods at equal cost, five seeds each, with intervals (hours)
# make tiny-qwen: train the small model of the presets again (hours)
# make test | test-long | test-vllm | test-lmms | lint | docs | dry-run | clean
# make pictures: the README's pictures and figures, from the last demo (chromium)
# make faults | faults-quick: what kills, full disks, lost nodes and damaged tables cost (30 or 6 minutes)
# make fuzz [FUZZ="--mutations N"]: damage every file of every format, and say what became of it (20 minutes)
# make bench [BENCH="NAME ..."]: speed and memory beside the obvious alternatives (minutes, 1 GB for a scan)
# make gpu-check [DRY=1] [OUT=folder]: one GRPO step of a 3B model on one 80 GB GPU, 8 minutes at most, no network
PYTHON ?= python3
VENV := .venv
VLLM_VENV := .venv-vllm
LMMS_VENV := .venv-lmms
BIN := $(VENV)/bin
CORES ?= all
WORKERS ?= 2

.PHONY: demo seeing study spacer-demo tiny-qwen test test-long test-vllm test-lmms lint docs pictures format dry-run faults faults-quick fuzz bench gpu-check clean system

demo: $(VENV)/ready system
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/demo.yaml --quiet rules -- all
	@$(BIN)/rollout3d summary --results results/demo

# Does training use the video? GRPO must raise the score on rooms held out, and not on black frames.
seeing: $(VENV)/ready system
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/seeing.yaml --quiet rules -- all
	@$(BIN)/rollout3d summary --results results/seeing
	@$(BIN)/rollout3d compare --results results/seeing --benchmark synthetic --before sft --after grpo grpo_1 grpo_2 \
	  --above video --not-above black

# Rollout methods at equal cost, five seeds each: hours, resumable. What it can detect is stated from the pilot before the
# arms are trained. Writes docs/study, which the repository holds.
STUDY := $(BIN)/snakemake --cores $(CORES) --configfile config/presets/study.yaml --quiet rules
study: $(VENV)/ready system
	$(STUDY) -- results/study/report/study_design.parquet
	$(BIN)/python docs/study.py
	$(STUDY) -- study all
	$(BIN)/python docs/study.py

# SpaceR and Spatial-R1 in minutes, and whether the map reward grew.
spacer-demo: $(VENV)/ready system
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/spacer_demo.yaml --quiet rules -- all
	@$(BIN)/rollout3d summary --results results/spacer_demo
	@$(BIN)/rollout3d growth --results results/spacer_demo --runs spacer spacer_ocr --part map

# The small model of the presets, from scratch: hours, resumable. Writes resources/tiny_qwen, which the repository holds.
tiny-qwen: $(VENV)/ready system
	$(BIN)/snakemake --cores $(CORES) --configfile config/presets/tiny_qwen.yaml --quiet rules -- all
	$(BIN)/python docs/tiny_qwen.py

test: $(VENV)/ready system
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long" $(TESTS)

# Second runs that compute most of a study again, and trainers that Slurm stops: minutes each.
test-long: $(VENV)/ready system
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m long $(TESTS)

# The real engine on a CPU; install.sh ends with 3, and has said why, where that cannot be.
test-vllm:
	@PYTHON=$(PYTHON) tests/vllm/install.sh $(VLLM_VENV) && status=0 || status=$$?; \
	case $$status in \
	  0) OMP_NUM_THREADS=1 $(VLLM_VENV)/bin/python -m pytest $(or $(TESTS),tests/vllm) ;; \
	  3) echo "test-vllm: skipped" ;; \
	  *) exit $$status ;; esac

# lmms-eval itself, as a layer over the environment of the tests (80 MB).
test-lmms: $(VENV)/ready
	@tests/lmms/install.sh $(VENV) $(LMMS_VENV) && status=0 || status=$$?; \
	case $$status in \
	  0) OMP_NUM_THREADS=1 $(LMMS_VENV)/bin/python -m pytest $(or $(TESTS),tests/lmms) ;; \
	  3) echo "test-lmms: skipped" ;; \
	  *) exit $$status ;; esac

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint --configfile config/presets/demo.yaml
	$(BIN)/pyright
	$(BIN)/python .ci/prose.py

# The site of documents and docstrings, in docs/_build/html; warnings are errors.
docs: $(VENV)/docs
	rm -rf docs/api
	$(BIN)/python -m sphinx -c docs -b html -W --keep-going -q . docs/_build/html

# Pictures and figures of the README, from results/demo: run `make demo` before.
pictures: $(VENV)/ready
	$(BIN)/python docs/drawings.py
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/figures.py

format: $(VENV)/ready
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format . ; $(BIN)/snakefmt Snakefile rules

dry-run: $(VENV)/ready
	for preset in config/config.yaml config/presets/*.yaml; do \
	  echo "== $$preset"; $(BIN)/snakemake -n --quiet all --configfile $$preset || exit 1; \
	  $(BIN)/snakemake --profile slurm -n --quiet all --configfile $$preset -- all || exit 1; done

# Rows lost, questions answered twice, steps trained twice, fault by fault (tests/faults). FAULTS="--only NAME": some of them.
faults: $(VENV)/ready system
	$(BIN)/python tests/faults/run.py $(FAULTS)

faults-quick: $(VENV)/ready system
	$(BIN)/python tests/faults/run.py --quick $(FAULTS)

# Damaged files of every format (tests/fuzzing). FUZZ="--only scannet --seed 7": one format, other damage.
fuzz: $(VENV)/ready system
	$(BIN)/python tests/fuzzing/campaign.py $(FUZZ)

bench: $(VENV)/bench system
	$(BIN)/python benchmarks/run.py $(BENCH)

# GPU_PYTHON: an interpreter with another torch, or with vLLM (envs/vllm.yaml); it needs this package's requirements.
gpu-check: $(if $(GPU_PYTHON),,$(VENV)/ready)
	PYTHONPATH=workflow $(or $(GPU_PYTHON),$(BIN)/python) benchmarks/gpu_check.py \
	  --out $(or $(OUT),results/gpu_check) $(if $(DRY),--dry)

$(VENV)/bench: $(VENV)/ready
	$(BIN)/pip install --quiet -e ".[bench]"
	touch $@

$(VENV)/docs: $(VENV)/ready
	$(BIN)/pip install --quiet -e ".[docs]"
	touch $@

# torch first: named by another package's requirement it may come with gigabytes of CUDA libraries.
$(VENV)/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "torch==2.13.0"
	$(BIN)/pip install --quiet -e ".[dev]"
	$(BIN)/python -c "$$LINK_LIBUSB"
	touch $@

# Open3D is a plugin of TensorBoard, which imports it as it is. A link beside its library lets it find the libusb of the
# Python package, which rollout3d loads by itself.
define LINK_LIBUSB
import importlib.util, os, pathlib, libusb_package
found = importlib.util.find_spec("open3d")
link = pathlib.Path(found.origin).with_name("libusb-1.0.so.0")
link.unlink(missing_ok=True)
link.symlink_to(os.path.relpath(libusb_package.get_library_path(), link.parent))
endef
export LINK_LIBUSB

# Libraries of the system that Open3D links to: those that cannot be loaded are installed by root, or named.
system: $(VENV)/ready
	@missing=$$($(BIN)/python -c "from rollout3d.geometry.boxes import missing_packages as m; print(*m())") || exit 1; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	  else \
	    echo "Open3D needs libraries: sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; \
	  fi; fi

clean:
	rm -rf results/demo results/tiny
