# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` need a Python 3.10 to 3.13 and nothing else: what is missing, a C
# compiler included, goes into .venv. Another Python: make PYTHON=python3.12 ...

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

export PYTHON
export TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_ENABLE_ONEDNN_OPTS ?= 0

VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python
TOOLS := $(RUN) _build/oaq_build.py run build/toolchain
SANITIZERS := address,undefined
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
LIBRARY := oaq_keras/lib/liboaq_tflite.so
# What the library is made of; tests, benchmarks and the JNI have no part in it.
SOURCES := CMakeLists.txt $(shell find tflite_kernels \( -name tests -o -name bench -o -name android \) -prune -o \
  -type f \( -name '*.c' -o -name '*.h' -o -name '*.S' -o -name '*.inc' -o -name '*.map' -o -name 'CMakeLists.txt' -o -name '*.cmake' \) -print)
C_FILES := $(shell find tflite_kernels examples -type f \( -name '*.c' -o -name '*.cc' -o -name '*.h' \) 2>/dev/null)

# What is built to be shipped needs no TensorFlow here.
SHIPPING := build/shipping
SHIP := $(SHIPPING)/bin/python _build/oaq_build.py run build/toolchain $(SHIPPING)/bin/python

# A clone that was moved has an environment that points to where it was; another Python wants another.
ifneq ($(shell head -1 $(SHIPPING)/.ready 2>/dev/null),$(CURDIR))
  $(shell rm -f $(SHIPPING)/.ready)
endif
ifneq ($(shell head -1 $(READY) 2>/dev/null),$(CURDIR))
  $(shell rm -f $(READY))
else ifneq ($(PYTHON),)
  ifneq ($(shell tail -1 $(READY)),$(shell $(PYTHON) -c 'import os, sys; print(os.path.realpath(sys.executable))' 2>/dev/null))
    $(shell rm -f $(READY))
  endif
endif

.PHONY: help demo test lint format c-test arm arm-build arm-fetch aar android-fetch soak soak-arm soak-training soak-examples wheels first-inference matrix bench bench-arm results methods models sanitize coverage clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

$(READY): pyproject.toml _build/environment.sh _build/oaq_build.py
	@bash _build/environment.sh $(VENV) examples,test,dev

$(SHIPPING)/.ready: pyproject.toml _build/environment.sh _build/oaq_build.py
	@mkdir -p build && bash _build/environment.sh $(SHIPPING) wheels

build/kernels/build.ninja: $(READY) CMakeLists.txt Makefile
	@$(TOOLS) cmake -S . -B build/kernels -G Ninja -DCMAKE_BUILD_TYPE=Release -DOAQ_BUILD_TESTS=ON \
	  -DOAQ_BUILD_BENCH=ON -DOAQ_WERROR=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON --log-level=WARNING >/dev/null
	@touch $@

$(LIBRARY): build/kernels/build.ninja $(SOURCES)
	@$(TOOLS) cmake --build build/kernels --parallel $(JOBS) --target oaq_tflite
	@$(TOOLS) cmake --install build/kernels --prefix . --component python >/dev/null
	@touch $@

demo: $(READY) $(LIBRARY) ## train a small network, certify it, run it: about a minute after the first install
	@$(RUN) examples/classification.py --ablation --output build/demo

test: lint c-test arm $(LIBRARY) ## all checks: lint, types, C tests, Python tests
	@$(RUN) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

lint: $(READY) ## formatting, lint and types, Python and C
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(if $(C_FILES),$(VENV)/bin/clang-format --dry-run --Werror $(C_FILES))

format: $(READY) ## rewrite the sources as `make lint` wants them
	@$(RUN) -m ruff check --fix --quiet . || true
	@$(RUN) -m ruff format .
	@$(if $(C_FILES),$(VENV)/bin/clang-format -i $(C_FILES))

c-test: build/kernels/build.ninja $(LIBRARY) ## build the kernels with -Werror and run their tests
	@$(TOOLS) cmake --build build/kernels --parallel $(JOBS)
	@$(TOOLS) ctest --test-dir build/kernels --output-on-failure --parallel $(JOBS)

# Without the cross compilers and qemu-user it says so, and does nothing.
arm: $(READY) ## cross-build for ARM, 64 and 32 bits, and run the C tests under qemu: some minutes
	@$(TOOLS) $(RUN) _build/oaq_arm.py --jobs $(JOBS)

arm-build: $(READY)
	@$(TOOLS) $(RUN) _build/oaq_arm.py --jobs $(JOBS) --no-tests

arm-fetch: $(READY) ## runtimes under qemu, for `make test` and `make matrix`: about 0.7 GB
	@$(RUN) -m tests.arm.fetch

NDK ?= $(or $(ANDROID_NDK_HOME),$(ANDROID_NDK_ROOT))

aar: $(SHIPPING)/.ready ## the Android library as an AAR, without Gradle: NDK=folder
	@$(SHIP) _build/oaq_android.py --ndk "$(NDK)" --jobs $(JOBS)

android-fetch: $(READY) $(SHIPPING)/.ready ## Android's and TensorFlow Lite's classes, for tests of the Android library: about 0.4 GB
	@$(RUN) -m tests.android.fetch

# NETWORKS=, SEED= and RESUME=1 besides; docs/trust.md says what is compared.
soak: $(READY) $(LIBRARY) ## random networks against the reference kernels, SECONDS=60 of them
	@$(RUN) -m tests.netgen.soak --jobs $(JOBS) --seed $(or $(SEED),0) $(if $(RESUME),--resume) \
	  $(if $(SECONDS)$(NETWORKS),,--seconds 60) $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(NETWORKS),--networks $(NETWORKS))

soak-arm: arm ## the same on emulated ARM CPUs, in what `make arm-fetch` fetched
	@$(RUN) -m tests.arm.soak --jobs $(JOBS) --seed $(or $(SEED),0) \
	  $(if $(SECONDS)$(NETWORKS),,--seconds 60) $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(NETWORKS),--networks $(NETWORKS))

soak-training: $(READY) $(LIBRARY) ## trainings that are killed KILLS=10 times, at random steps, end as one that is not
	@OAQ_KILLS=$(or $(KILLS),10) $(RUN) -m pytest -q tests/test_resuming.py

# clang first: the other C tests are most likely gcc's.
# The Python runs preload the sanitizer's library, which gcc has as a shared one.
sanitize: $(READY) ## C tests, and networks in Python, under Address-, UndefinedBehavior-, ThreadSanitizer (needs gcc or clang)
	@mkdir -p build; for compiler in clang gcc cc; do \
	  if echo 'int main(void) { return 0; }' | \
	    $$compiler -x c -fsanitize=$(SANITIZERS) -o build/probe - 2>/dev/null; then export CC=$$compiler; break; fi; \
	done; \
	if [ -z "$${CC:-}" ]; then echo "No compiler with sanitizers: install gcc, or clang and libclang-rt-dev." >&2; exit 1; fi; \
	for sanitizers in $(SANITIZERS) thread; do \
	  build=build/sanitize-$$CC-$${sanitizers%%,*}; \
	  $(TOOLS) cmake -S . -B $$build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	    -DOAQ_BUILD_TESTS=ON -DOAQ_WERROR=ON -DOAQ_SANITIZE=$$sanitizers --log-level=WARNING >/dev/null; \
	  $(TOOLS) cmake --build $$build --parallel $(JOBS); \
	  $(TOOLS) ctest --test-dir $$build --output-on-failure --parallel $(JOBS); \
	done
	@if ! command -v gcc >/dev/null; then echo "No gcc: networks in Python were not run with sanitizers."; exit 0; fi; \
	for sanitizers in $(SANITIZERS) thread; do \
	  build=build/sanitize-python-$${sanitizers%%,*}; runtime=lib$${sanitizers:0:1}san.so; \
	  CC=gcc $(TOOLS) cmake -S . -B $$build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	    -DOAQ_SANITIZE=$$sanitizers --log-level=WARNING >/dev/null; \
	  $(TOOLS) cmake --build $$build --parallel $(JOBS) --target oaq_tflite; \
	  LD_PRELOAD=$$(gcc -print-file-name=$$runtime) ASAN_OPTIONS=detect_leaks=0 \
	    OAQ_LIBRARY=$$build/tflite_kernels/liboaq_tflite.so $(RUN) -m tests.sanitized; \
	done

wheels: $(SHIPPING)/.ready ## the sdist, and wheels for x86_64, aarch64, armv7l and, without kernels, any other machine, in dist/
	@$(SHIP) _build/oaq_wheels.py --out dist

FIRST_MODEL ?= ../shared/data/models/mlperftiny_resnet8_cifar10_int8.tflite

first-inference: $(READY) wheels ## seconds from nothing to a first inference, here and on emulated ARM; the sdist without a compiler
	@$(RUN) -m tests.arm.first_inference "$(FIRST_MODEL)"

matrix: $(READY) $(LIBRARY) ## every TFLite runtime, here and on emulated ARM, custom and builtin ops, 1, 2 and 8 threads
	@$(RUN) -m tests.matrix.run $(if $(REQUIRE_ARM),--require-arm)

soak-examples: $(READY) $(LIBRARY) ## the examples on networks as large as MobileNetV2, which the tests leave out
	@OAQ_LONG=1 $(RUN) -m pytest -q tests/test_detection_example.py tests/test_segmentation_example.py

# MODELS="a.tflite b.tflite" in place of those kept beside the repository, RUNTIME= a TensorFlow Lite
# C library in place of the one that `make matrix` fetches.
MODELS ?= $(wildcard $(addprefix ../shared/data/models/,tf2_mobilenet_v2_1.0_224_ptq.tflite \
  mlperftiny_resnet8_cifar10_int8.tflite))
RUNTIME ?= $(wildcard build/matrix/package/cc_deps/linux_$(if $(filter aarch64,$(shell uname -m)),arm64,amd64)/libtensorflowlite_c.so)

bench: $(READY) $(LIBRARY) ## time kernels and networks against XNNPACK, as Markdown tables and build/bench.json
	@$(TOOLS) cmake --build build/kernels --parallel $(JOBS) --target oaq_bench_kernels oaq_run_model >/dev/null
	@$(RUN) tflite_kernels/bench/bench.py --programs build/kernels/tflite_kernels/bench \
	  --library $(LIBRARY) --runtime "$(RUNTIME)" --json build/bench.json --models $(MODELS)

# ARM_RUNTIME= as RUNTIME=, for the emulated CPU.
ARM_MODELS ?= $(wildcard $(addprefix ../shared/data/models/,tf2_mobilenet_v2_1.0_224_ptq.tflite \
  mlperftiny_vww96_int8.tflite mlperftiny_resnet8_cifar10_int8.tflite))
ARM_RUNTIME ?= $(wildcard build/matrix/package/cc_deps/linux_arm64/libtensorflowlite_c.so)

bench-arm: arm-build $(LIBRARY) ## what ARM kernels should reach, by models of cores: Markdown tables and build/bench_arm.json
	@$(RUN) tflite_kernels/bench/bench_arm.py --build build/arm/aarch64 \
	  $(if $(ARM_RUNTIME),--runtime $(ARM_RUNTIME)) --json build/bench_arm.json --models $(ARM_MODELS)

# DATA= a folder with the images and models that results/imagenet.py names.
DATA ?= ../shared/data

# With oneDNN, as TensorFlow comes: training takes half the time.
results methods: export TF_ENABLE_ONEDNN_OPTS := 1

results: $(READY) $(LIBRARY) ## what networks answer after quantization, as tables; kept in build/results, hours the first time
	@$(RUN) -m results.tasks --data "$(DATA)" || echo "Some tasks failed; the other tables follow."
	@$(RUN) -m results.speed || echo "Some speed is not measured; docs/results.md says what it needs."
	@$(RUN) -m results.cifar10 --data "$(DATA)" --write
	@$(RUN) -m results.recertify --data "$(DATA)" --write
	@$(RUN) -m results.post_training --data "$(DATA)" --keep build/results --write
	@$(RUN) -m results.training_step --data "$(DATA)" --write
	@$(RUN) -m results.watching --data "$(DATA)" --write
	@$(RUN) -m results.readme --data "$(DATA)"

methods: $(READY) $(LIBRARY) ## ours beside other methods, as the table of docs/methods.md; kept, an hour or two the first time
	@$(RUN) -m results.methods --data "$(DATA)" --write

models: $(READY) $(LIBRARY) ## keras.applications and published networks through all steps, as the tables of docs/models.md; kept, an hour the first time
	@$(RUN) -m results.keras_models --write
	@$(RUN) -m results.given_models --data "$(DATA)" --write

coverage: $(READY) $(LIBRARY) ## line and branch coverage of the Python tests
	@$(RUN) -m pytest -n $(JOBS) --dist loadfile --cov --cov-report=term --cov-report=html:build/coverage

clean: ## remove everything that was built or installed here
	rm -rf $(VENV) build dist oaq_keras/lib .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
