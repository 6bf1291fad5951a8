# Two commands: `make book` and `make test`. They need Python 3.11 or newer and the package index;
# everything else is installed into .venv. Neither does anything twice.

# The workload: smoke, laptop, cifar or paper (notebooks/scales/*.yaml).
SCALE    ?= laptop
# A YAML file of parameters laid over the scale's, e.g. notebooks/scales/overrides/cpu.yaml.
OVERRIDE ?=
# The sections that make run and make reference are about, e.g. SECTIONS="dynamics robustness"; all.
SECTIONS ?=
# Cores to use, and a Snakemake profile for a cluster (workflow/profiles/slurm is an example).
JOBS     ?= all
PROFILE  ?=
# Most jobs that the inversions of a section are cut into: with several GPUs as many, 16 with a profile.
PARTS    ?=
# GPUs to use, e.g. DEVICES=0,1; all.
DEVICES  ?=
# Set, make bench puts what it measured into data/results.
KEEP     ?=
# For make report: two models, as NAME=WEIGHTS or a checkpoint of MODEL, images, and how much is done.
PRETRAINED ?=
FINETUNED  ?=
IMAGES     ?=
MODEL      ?=
IMG_SIZE   ?=
N          ?= 100
STEPS      ?= 50
SEEDS      ?= 0 1 2
REPORT     ?= report.html
# The folder that make gpu-bundle makes, and the one that make gpu-merge reads.
GPU      ?= gpu-bundle
# More arguments for pytest, make report and make gpu, e.g. ARGS="tests/invlib -x".
ARGS     ?=

PYTHON   ?= python3
VENV     ?= .venv

# A misspelt name would change nothing, without a word.
NAMES := SCALE OVERRIDE SECTIONS JOBS PROFILE PARTS DEVICES KEEP PRETRAINED FINETUNED IMAGES MODEL \
         IMG_SIZE N STEPS SEEDS REPORT GPU ARGS PYTHON VENV BROWSER CLUSTER OMP_WAIT_POLICY
OTHER := $(filter-out $(NAMES),$(foreach name,$(.VARIABLES),\
         $(if $(filter command,$(firstword $(origin $(name)))),$(name))))
ifneq ($(strip $(OTHER)),)
$(error $(firstword $(OTHER))=… means nothing here; did you mean $(shell $(PYTHON) -c 'import difflib, sys; \
  print(difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1, 0)[0])' $(firstword $(OTHER)) $(NAMES))? \
  A variable of another program stands before make: NAME=… make)
endif

BIN      := $(VENV)/bin
STAMP    := $(VENV)/.installed
WORKFLOW := $(BIN)/python workflow/run.py
SELECT   = --scale "$(SCALE)" --override "$(OVERRIDE)" --jobs "$(JOBS)" --profile "$(PROFILE)" \
           --parts "$(PARTS)" --devices "$(DEVICES)"

# What is installed decides, not what a shell happens to point at. And compiled modules are kept:
# without them each of some thirty processes compiles PyTorch's sources again, for seven seconds.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Threads that wait give their core away. By default they spin, and two programs that share two cores
# take three times as long each. A value of your own wins.
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.PHONY: help install book classroom lessons run plan reference bench report gpu gpu-bundle gpu-merge parameters test test-browser test-pages test-cluster test-timm mutants lab lint lock clean clean-runs

help: ## list these targets
	@echo "make book    render the book into _build/html, running every notebook first"
	@echo "make test    run the whole test suite"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "SCALE=$(SCALE) (smoke, laptop, cifar, paper)  OVERRIDE=file.yaml  JOBS=$(JOBS)  PROFILE=folder"

install: $(STAMP) ## create .venv with the locked packages

# uv installs in seconds what takes pip minutes; where it is not to be had, pip does the same. Both
# take only files whose SHA-256 is in the locks, uv itself included.
# The stamp is written last, so an installation that was cut off is done again.
$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@if $(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.lock \
	    && $(BIN)/uv pip sync --quiet --require-hashes --system-certs --compile-bytecode --python $(BIN)/python requirements.lock; then :; else \
	  echo "uv did not do it; installing with pip, which takes longer"; \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock; fi
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

book: $(STAMP) ## run the workflow at SCALE and render the book
	@$(WORKFLOW) book $(SELECT)

classroom: book ## pack book, slides and exercises into one zip, _build/classroom.zip
	@$(BIN)/python workflow/classroom.py "$(SCALE)"

lessons: $(STAMP) ## do what "Try it" proposes at the laptop scale, time the lesson, and keep the numbers
	@$(BIN)/python -m papers.lessons

run: $(STAMP) ## run the workflow at SCALE, without the book
	@$(WORKFLOW) sections $(SELECT) --only "$(SECTIONS)"

plan: $(STAMP) ## say what SCALE takes on a cluster: jobs, GPU-hours, storage
	@$(BIN)/python -m papers plan --scale "$(SCALE)" $(if $(OVERRIDE),--override "$(OVERRIDE)") \
	  $(if $(PARTS),--parts "$(PARTS)")

reference: run ## run at SCALE, then keep the results in data/results/SCALE
	@$(BIN)/python workflow/reference.py --scale "$(SCALE)" --only "$(SECTIONS)"

bench: $(STAMP) ## measure what a comparison costs (KEEP=1 to show it in the book)
	@$(BIN)/python -m papers bench $(if $(filter-out 0 no false,$(KEEP)),--keep)

report: $(STAMP) ## compare PRETRAINED and FINETUNED on IMAGES; the report is one HTML file, REPORT
	@$(BIN)/python workflow/report.py --pretrained "$(PRETRAINED)" --finetuned "$(FINETUNED)" \
	  --images "$(IMAGES)" --model "$(MODEL)" --img-size "$(IMG_SIZE)" --n "$(N)" \
	  --steps "$(STEPS)" --seeds "$(SEEDS)" --output "$(REPORT)" $(ARGS)

gpu: $(STAMP) ## measure on this machine's GPU (ARGS="--budget 1200", ARGS=--toy on a processor)
	@$(BIN)/python -m papers gpu run $(ARGS)

gpu-bundle: $(STAMP) ## pack what a GPU without a network needs into GPU=gpu-bundle
	@$(BIN)/python -m papers gpu bundle "$(GPU)" $(ARGS)

gpu-merge: $(STAMP) ## take what came back in GPU=folder into data/results/gpu
	@$(BIN)/python -m papers gpu merge "$(GPU)" $(ARGS)

parameters: $(STAMP) ## write parameters cells and the page on parameters from the sections' fields
	@$(BIN)/python -m papers parameters

test: $(STAMP) ## run the whole test suite (ARGS="tests/invlib -x" for a part)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(ARGS)

test-browser: $(STAMP) ## try what readers play with in Chromium (BROWSER=program for another one)
	@OMP_NUM_THREADS=1 BROWSER="$(or $(BROWSER),chromium)" $(BIN)/python -m pytest tests/book/test_explorers.py -v $(ARGS)

test-pages: $(STAMP) ## try every page of the book that is built in Chromium: accessibility, sizes, links
	@OMP_NUM_THREADS=1 BROWSER="$(or $(BROWSER),chromium)" $(BIN)/python -m pytest tests/book/test_built_book.py --numprocesses=auto $(ARGS)

test-cluster: $(STAMP) ## run the workflow through SLURM on this machine (CLUSTER=all for everything)
	@OMP_NUM_THREADS=1 CLUSTER=$(or $(CLUSTER),some) $(BIN)/python -m pytest tests/cluster/test_slurm.py -v -s $(ARGS)

mutants: $(STAMP) ## change the code in some thousand places, and count for which a test fails (goes on where it stopped)
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutants/run.py $(ARGS)
	$(BIN)/python -m tests.mutants.table
test-timm: $(STAMP) ## try all models of timm and write the table of those supported, in about an hour
	@PYTHONPATH=. $(BIN)/python tests/timm_models.py $(ARGS)

lab: $(STAMP) ## open the notebooks in JupyterLab, which shows their text as the book does
	@$(BIN)/python -m jupyterlab --notebook-dir=. notebooks

lint: $(STAMP) ## check style (make test does, too)
	@$(BIN)/ruff check .

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: $(STAMP) ## make requirements.lock again from pyproject.toml, with the hashes of all files
	$(BIN)/$(LOCK) --all-extras --output-file requirements.lock pyproject.toml
	sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements-uv.lock \
	  | $(BIN)/$(LOCK) --no-annotate --output-file requirements-uv.lock -

clean: ## delete the rendered book and its intermediate files
	rm -rf _build

clean-runs: ## delete what was computed at SCALE (SCALE=training: all trainings)
	@case "$(SCALE)" in "" | .* | */*) false;; *) test -d "data/runs/$(SCALE)";; esac || \
	  { echo "SCALE=$(SCALE): no such folder in data/runs, where there are:" $$(ls data/runs 2>/dev/null); exit 2; }
	rm -rf "data/runs/$(SCALE)"
