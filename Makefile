# Each target is a line or two that you could also type.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1
export TF_CPP_MIN_LOG_LEVEL := 2

.PHONY: help run test check server review ablation fer2013 pretrained stop schedule models rollback clean

help:            ## list the targets
	@grep -E '^[a-z0-9]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 12

run: $(VENV)/ready     ## set up, then run all stages from photos to the report: `dvc repro` with a Prefect server
	python -m flows.run

test: $(VENV)/ready    ## set up, then run all tests, the slow ones too
	python -m pytest -m "" -n 2 --dist loadgroup --no-loadscope-reorder --durations=25 $(ARGS)

check: $(VENV)/ready   ## run the linter and the fast tests
	ruff check . && ruff format --check . && python -m pytest -n 2 --dist loadgroup $(ARGS)

ablation: $(VENV)/ready  ## measure the effect of each cleaning rule: trains a small model per step and seed; takes a while
	python -m flows.ablation

fer2013: override export SOURCE := $(value SOURCE)
fer2013: $(VENV)/ready  ## run all stages on FER2013: SOURCE=a folder with Kaggle's fer2013.csv, or with its train/ and test/
	python -m flows.fer2013

pretrained: override export SOURCE := $(value SOURCE)
pretrained: $(VENV)/ready  ## train the network in pretrained/ anew: SOURCE=a folder with FER2013 and the votes of FER+
	python -m flows.pretrained

server: $(VENV)/ready  ## run the Prefect server with its UI and the report, until Ctrl-C
	python -m flows.server

review: $(VENV)/ready  ## serve the page for reviewing doubted faces, until Ctrl-C: http://127.0.0.1:8321
	python -m apps.review $(ARGS)

stop:                  ## stop the server that `make run` left running
	[ ! -e .cache/server/server.json ] || python -m flows.server.own_server

schedule: $(VENV)/ready  ## rebuild when the source changes and every night, until Ctrl-C: deploys prefect.yaml, starts a worker
	python -m flows.schedule

models: $(VENV)/ready    ## list the versions of the model, with figures and dates, and which one is released
	python -m flows.models

rollback: override export VERSION := $(value VERSION)
rollback: $(VENV)/ready  ## release an earlier version of the model again: VERSION=one that `make models` lists
	python -m flows.rollback

# A system upgrade can remove the Python that the venv was made with.
$(shell [ ! -d $(VENV) ] || $(BIN)/python -c 'import yaml' 2>/dev/null || rm -f $(VENV)/ready)

$(VENV)/ready: requirements.lock pyproject.toml
	@git rev-parse --git-dir >/dev/null 2>&1 || { echo "this folder is not a git repository, or git is not installed: DVC and the tests need both. Use git clone, or: git init" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12 …")'
	@echo "setting up $(VENV) with the packages of requirements.lock: about three minutes"
	$(BIN)/python -c 'import yaml' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$([ -w "$$HOME" ] || echo --no-cache-dir) -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@why=$$($(BIN)/python -c 'import cv2' 2>&1) || { echo "OpenCV does not start: $$(echo "$$why" | tail -n 1). Debian, Ubuntu: apt install libgl1 libglib2.0-0. Without these: rm -r $(VENV), then make PYTHON=python3.13 …" >&2; exit 1; }
	touch $@

clean:                 ## remove all outputs and caches, except versions in .dvc, replies of OCR.space, Prefect's database
	rm -rf data models reports
	[ ! -d .cache ] || find .cache -mindepth 1 -maxdepth 1 ! -name ocr_space ! -name server -exec rm -rf {} +
