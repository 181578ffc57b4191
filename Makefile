# Two commands matter: `make demo` runs the main job, `make test` checks what CI checks. Both do all set-up themselves.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

OUT ?= demo-out
LORA ?=
HIDDEN_LAB := tests/fixtures/hidden-lab
THREE_FACES := tests/fixtures/three-faces
RECIPE := packaging/packs/puppet/recipe
ENV := . packaging/setup/env.sh;

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@$(ENV) echo "Everything built or fetched lies below $$GREENROOM_CACHE; make clean-cache empties it."

# Always with a farm of its own, even where this machine has a daemon configured.
.PHONY: demo
demo: ## film the hidden-lab script into OUT=demo-out: episode, clips, contact sheet, report; LORA=1 learns three characters too
	@packaging/setup/setup.sh demo
	@$(ENV) cargo build --release --locked --package greenroom --package greenroomd --package greenroom-worker
	@$(ENV) status=0; \
	env -u GREENROOM_ADDRESS "$$CARGO_TARGET_DIR/release/greenroom" --config /dev/null \
	  run $(HIDDEN_LAB)/hidden-lab.fountain --cast $(HIDDEN_LAB)/cast --out "$(OUT)" || status=$$?; \
	case $$status in 0|3) ;; *) echo "make demo: greenroom run failed with code $$status" >&2; exit $$status ;; esac; \
	for file in "$(OUT)"/{episode.mp4,contact-sheet.png,report.html,report.json} "$(OUT)"/clips/*.mp4; do \
	  test -s "$$file" || { echo "make demo: $$file was not made" >&2; exit 1; }; \
	done; \
	if [ $$status = 3 ]; then \
	  echo "Finished with drafts (greenroom run ended with code 3): $(OUT)/report.html says which shots and why."; \
	else echo "Finished: every shot was accepted."; fi
	@if [ -n "$(LORA)" ]; then $(MAKE) --no-print-directory demo-lora; fi

# What `make demo LORA=1` adds.
.PHONY: demo-lora
demo-lora:
	@$(ENV) status=0; \
	env -u GREENROOM_ADDRESS "$$CARGO_TARGET_DIR/release/greenroom" --config /dev/null \
	  run $(THREE_FACES)/three-faces.fountain --cast $(THREE_FACES)/cast --out "$(OUT)/three-faces" --learn || status=$$?; \
	case $$status in 0|3) ;; *) echo "make demo: greenroom run --learn failed with code $$status" >&2; exit $$status ;; esac; \
	for name in juno iris otis; do \
	  for file in "$(OUT)/three-faces/loras/$$name"/{report.html,proof.png,samples.png,lora.safetensors}; do \
	    test -s "$$file" || { echo "make demo: $$file was not made" >&2; exit 1; }; \
	  done; \
	done

.PHONY: test
test: setup-test format tidy lint docs test-recipe test-rust ## everything CI checks

.PHONY: test-full
test-full: test test-deny test-recipe-full test-ignored ## test, and what takes long: advisories, peers, long runs

.PHONY: setup-test
setup-test:
	@packaging/setup/setup.sh test

.PHONY: format
format:
	@echo "== format"
	@$(ENV) cargo fmt --all --check

.PHONY: tidy
tidy:
	@echo "== tidy"
	@$(ENV) cargo xtask tidy

.PHONY: lint
lint:
	@echo "== lint"
	@$(ENV) cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: docs
docs:
	@echo "== docs"
	@$(ENV) RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

.PHONY: test-recipe
test-recipe:
	@echo "== recipe"
	@$(ENV) cd $(RECIPE); "$$GREENROOM_CACHE/recipe-venv/bin/python" -m pytest -q -rs -p no:cacheprovider

# The networks of the recipe too, which `make test` reports as skipped: torch is gigabytes.
.PHONY: test-recipe-full
test-recipe-full:
	@echo "== recipe with its networks"
	@packaging/setup/setup.sh test-full
	@$(ENV) cd $(RECIPE); "$$GREENROOM_CACHE/recipe-train-venv/bin/python" -m pytest -q -rs -p no:cacheprovider

# The farm's tests start the programs themselves, so these are built first, with the features that the tests are built with.
.PHONY: test-rust
test-rust:
	@echo "== tests"
	@$(ENV) cargo build --workspace --all-targets --locked
	@$(ENV) cargo nextest run --workspace --locked --profile ci

# Not in `make test`: its answer changes with the day's advisories, not with the code.
.PHONY: test-deny
test-deny:
	@echo "== deny"
	@$(ENV) cargo deny --version >/dev/null 2>&1 || \
	  env -u CARGO_TARGET_DIR cargo install cargo-deny --locked --debug --root "$$GREENROOM_CACHE/tools"
	@$(ENV) cargo deny --locked check

.PHONY: test-ignored
test-ignored:
	@echo "== long tests"
	@$(ENV) cargo nextest run --workspace --locked --profile ci --run-ignored only --no-tests warn

.PHONY: clean-cache
clean-cache: ## remove what was built and fetched outside the clone
	@$(ENV) rm -rf "$$GREENROOM_CACHE"/{target,onnxruntime,onnxruntime-openvino,tools,recipe-venv,recipe-train-venv,measure-venv,measure-models,setup.log}
