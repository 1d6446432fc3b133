# The two commands of README (`make run`, `make test`) and what they stand on. Everything that is installed goes into
# $(VENV); of Debian's packages only mosquitto (and what `make test` looks with) is installed, if it is missing.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check
DATA ?= build/data
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
ROUNDS ?= 1000
SECONDS ?= 600
RUNTIME := numpy opencv-python-headless ai-edge-litert cryptography cbor2 paho-mqtt gpiozero dbus-fast msgspec segno
FONTS := fonts-roadgeek fonts-opendin fonts-liberation fonts-dejavu-core fonts-dejavu-extra fonts-urw-base35

# One thread a process: on two busy cores OpenMP's spinning threads are slower than none.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

ARM64_OPTIONS = $(if $(SOURCE),--source "$(SOURCE)") $(if $(TABLE),--table "$(TABLE)") $(if $(PICTURES),--pictures $(PICTURES)) \
    $(if $(CROPS),--crops $(CROPS)) $(if $(MACHINE),--machine $(MACHINE))

.PHONY: run test docs test-security test-second-broker fuzz sbom audit check arm64 card-test models table-there data evaluate clean

run: $(VENV)/.base mosquitto
	@$(BIN)/python -m hw_sim run $(if $(SOURCE),--source "$(SOURCE)") $(if $(PASSES),--passes $(PASSES)) \
	    $(if $(LIGHT),--light $(LIGHT)) $(if $(MPH),--mph $(MPH)) $(if $(RAIN),--rain $(RAIN)) $(if $(HOUR),--hour $(HOUR)) $(if $(VIEW),--view)

test: $(VENV)/.dev mosquitto tools softhsm compiler message-bus
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

# The pictures of the documentation, each made by the program that it shows.
docs: $(VENV)/.base mosquitto page-drawer
	$(BIN)/python -m provisioning.pictures --out docs

check: test

# What an attacker would try, in long rounds: TLS, erasure, faults of the disk, the host, sealing, decoders.
test-security: $(VENV)/.dev mosquitto tools softhsm compiler message-bus
	$(BIN)/python -m pytest -n 0 --rounds $(ROUNDS) --hypothesis-profile=search tests/security tests/faults tests/fuzz \
	    tests/unit/test_document_limits.py tests/unit/test_no_dangerous_calls.py tests/unit/test_supply_chain.py \
	    tests/unit/test_security_paper.py

# The same delivery with RabbitMQ, the other MQTT 5 broker of Debian (13): in a folder of its own, as root, some minutes.
SECOND_BROKER ?= build/second-broker
test-second-broker: $(VENV)/.dev $(SECOND_BROKER)/.made
	$(SUDO) $(BIN)/python -m pytest -n 0 tests/second_broker --second-broker $(SECOND_BROKER)

$(SECOND_BROKER)/.made:
	@command -v mmdebstrap >/dev/null || { \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends mmdebstrap; \
	}
	@echo "Installing Debian 13 with rabbitmq-server into $(SECOND_BROKER): 400 MB ..."
	@mkdir -p $(dir $(SECOND_BROKER))
	@$(SUDO) mmdebstrap --quiet --variant=minbase --include=rabbitmq-server trixie $(SECOND_BROKER)
	@$(SUDO) touch $@

# Coverage-guided: each decoder of bytes from outside gets its share of SECONDS. A finding ends with exit code 1.
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# What a unit is made of and whether any of it has a published hole: of a fresh installation, by tools beside it.
sbom: .venv-product/.made .venv-audit/.made
	.venv-audit/bin/python .ci/supply_chain.py sbom .venv-product --tool .venv-audit/bin/cyclonedx-py \
	    --out build/sbom.cdx.json --needs $(RUNTIME)

audit: .venv-product/.made .venv-audit/.made
	.venv-audit/bin/python .ci/supply_chain.py audit .venv-product --tool .venv-audit/bin/pip-audit --out build/audit.json

# Do the models say the same on a Raspberry Pi? Emulated, so slow, and no word on speed. By itself on drawn pictures;
# SOURCE=DIR reads photographs, TABLE=plates.csv cut-out plates; PICTURES=, CROPS= how many; MACHINE=pi5, pi4 or zero2.
arm64: $(VENV)/.base emulator
	@$(BIN)/python -m tests.arm64 $(ARM64_OPTIONS)

# The card's installer on real Debian roots, killed on the way, booted and asked, that of arm64 in a whole emulated
# machine; CARD=bookworm-amd64, trixie-amd64 or bookworm-arm64 for one of them. Needs root, an hour, and 6 GB in build/card.
card-test: $(VENV)/.base tools emulator machine
	@$(SUDO) nice $(BIN)/python -m tests.card $(if $(CARD),--card $(CARD))

# The venv is made once and renewed when setup.py changes. A half-made one has no marker and is made again.
$(VENV)/.base: setup.py
	@command -v $(PYTHON) >/dev/null || $(MAKE) --no-print-directory python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Kestrel needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Set PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory python3-venv
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): once, about a minute and 400 MB ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "Adding what the tests need ..."
	@$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	@echo "Adding the fuzzer ..."
	@$(PIP) --editable '.[fuzz]'
	@touch $@

.venv-product/.made: setup.py
	@echo "Installing what a unit gets into .venv-product ..."
	@$(PYTHON) -m venv --clear .venv-product
	@PYTHONWARNINGS=ignore .venv-product/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv-audit/.made: Makefile
	@echo "Installing the auditors into .venv-audit ..."
	@$(PYTHON) -m venv --clear .venv-audit
	@PYTHONWARNINGS=ignore .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check \
	    'cyclonedx-bom>=7,<8' 'pip-audit>=2.10,<3'
	@touch $@

$(VENV)/.train: $(VENV)/.dev
	@echo "Adding what training needs: PyTorch and the converters, several GB ..."
	@$(PIP) --editable '.[train]'
	@touch $@

.PHONY: mosquitto tools softhsm compiler message-bus emulator machine python3-venv fonts page-drawer
# Debian starts a broker of its own when it installs one; nobody here asked for that one.
mosquitto:
	@command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto || { \
	    echo "Installing Debian's mosquitto (the MQTT broker) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends mosquitto && \
	    { $(SUDO) systemctl disable --now mosquitto >/dev/null 2>&1 || true; }; \
	}

# What the tests of tests/security look with: packet filter, namespaces, systemd's own judge and its containers, polkit.
TOOLS := nftables iproute2 systemd systemd-container polkitd
tools:
	@dpkg -s $(TOOLS) >/dev/null 2>&1 || { \
	    echo "Installing Debian's $(TOOLS) (for tests only) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $(TOOLS); \
	}

# A PKCS #11 token in software, for the tests of keys in a secure element.
softhsm:
	@command -v softhsm2-util >/dev/null || { \
	    echo "Installing Debian's softhsm2 (a PKCS #11 token in software) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends softhsm2; \
	}

# For the shim between a process and its disk (tests/faults).
compiler:
	@command -v cc >/dev/null || { \
	    echo "Installing Debian's gcc (for the tests of a failing disk) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends gcc libc6-dev; \
	}

# A private message bus for the tests of the modem.
message-bus:
	@command -v dbus-daemon >/dev/null || { \
	    echo "Installing Debian's dbus-daemon (a message bus) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends dbus-daemon; \
	}

# What draws a page of a PDF as a picture, for the documentation.
page-drawer:
	@command -v pdftoppm >/dev/null || { \
	    echo "Installing Debian's poppler-utils (pdftoppm draws the hand-over's page) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends poppler-utils; \
	}

emulator:
	@command -v qemu-aarch64-static >/dev/null && command -v mmdebstrap >/dev/null && command -v arch-test >/dev/null || { \
	    echo "Installing Debian's qemu-user-static, mmdebstrap and arch-test (needs root, this once) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends qemu-user-static mmdebstrap arch-test; \
	}

# A whole arm64 machine, and what writes a card for it as an image.
MACHINE_PACKAGES := qemu-system-arm fdisk dosfstools mtools e2fsprogs kmod
machine:
	@dpkg -s $(MACHINE_PACKAGES) >/dev/null 2>&1 || { \
	    echo "Installing Debian's $(MACHINE_PACKAGES) (for tests only) ..."; \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $(MACHINE_PACKAGES); \
	}

python3-venv:
	@echo "Installing Debian's python3-venv ..."
	$(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends python3-venv

fonts:
	@dpkg -s $(FONTS) >/dev/null 2>&1 || { \
	    $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $(FONTS); \
	}

# Asked first, before anything is installed for it.
table-there:
	@test -e "$(DATA)/plates.csv" || { echo "$(DATA): holds no plates.csv; see models/README.md, set DATA=DIR" >&2; exit 2; }

# DATA is a folder as models/README.md describes it, or one of .tar files beside its plates.csv; these are unpacked to
# build/data, with a mended copy of the table (models/mends.csv).
data: table-there $(VENV)/.base
	@set -e; if ls "$(DATA)"/*.tar >/dev/null 2>&1; then \
	    mkdir -p build/data; \
	    for archive in "$(DATA)"/*.tar; do tar xf "$$archive" -C build/data; done; \
	    $(BIN)/python -m models.mend "$(DATA)/plates.csv" --out build/data/plates.csv; \
	    if test -e "$(DATA)/vehicles.csv"; then install -m 644 "$(DATA)/vehicles.csv" build/data/vehicles.csv; fi; \
	fi

TRAINING_DATA = $(if $(wildcard $(DATA)/*.tar),build/data,$(DATA))

models: table-there $(VENV)/.train fonts data
	test ! -e "$(TRAINING_DATA)/vehicles.csv" || $(BIN)/python -m models.detect_teach --data "$(TRAINING_DATA)"
	$(BIN)/python -m models.train_detect --data "$(TRAINING_DATA)"
	$(BIN)/python -m models.train_ocr --data "$(TRAINING_DATA)"
	$(BIN)/python -m models.export --data "$(TRAINING_DATA)"
	$(MAKE) evaluate
	$(MAKE) pin

# Every figure of the models' card: as JSON in build/measured, and what was wrong laid out in build/reports to be looked
# at. float32 is measured with the same code where the export has left it in build/float.
MEASURE = nice $(BIN)/python -m models.evaluate
ASIDE = --json build/measured/$@.json --report build/reports/$@
VAL = "$(TRAINING_DATA)/plates.csv" --root "$(TRAINING_DATA)" --split val
CROP_SETS = us_plates eu_crops br_gate
# What the table's val rows can be asked: sets of plates that are cut out, boxes, texts of plates with a box.
HELD = $(shell awk -F, '$$2 == "val" && $$3 == "plate" { print $$7 == "" ? $$1 : $$9 == "" ? "boxes" : "boxes scenes" }' \
    "$(TRAINING_DATA)/plates.csv" | sort -u)
MEASURED = $(strip $(filter $(HELD),$(CROP_SETS)) $(if $(filter us_plates,$(HELD)),degraded passages) $(filter $(HELD),boxes scenes))
FLOAT = $(if $(wildcard build/float/manifest.json),$(addsuffix _float,$(filter $(HELD),us_plates boxes scenes)))
# What one measurement needs that is made by itself.
READY = $(VENV)/.base data

evaluate: table-there $(VENV)/.base data
	@test -n "$(MEASURED)" || { echo "$(DATA): no val row of its table can be measured; see models/README.md" >&2; exit 2; }
	@rm -rf build/measured build/reports
	@$(MAKE) --no-print-directory READY= $(MEASURED) $(FLOAT)
	@echo "Figures: build/measured. What was wrong, to be looked at: build/reports/*/index.html (personal data)"

.PHONY: us_plates eu_crops br_gate degraded passages boxes scenes us_plates_float boxes_float scenes_float pin
us_plates eu_crops br_gate: $(READY)
	@echo "== $@"; $(MEASURE) crops $(VAL) --set $@ $(ASIDE)

degraded: $(READY)
	@echo "== $@"; nice $(BIN)/python -m models.degraded_set "$(TRAINING_DATA)/plates.csv" --root "$(TRAINING_DATA)" --out build/degraded
	@$(MEASURE) crops build/degraded/plates.csv --root build/degraded $(ASIDE)

passages: $(READY)
	@echo "== $@"; nice $(BIN)/python -m models.degraded_set "$(TRAINING_DATA)/plates.csv" --root "$(TRAINING_DATA)" --out build/passages --views 5
	@$(MEASURE) passages build/passages/plates.csv --root build/passages $(ASIDE)

boxes: $(READY)
	@echo "== $@"; $(MEASURE) boxes $(VAL) $(ASIDE)

scenes: $(READY)
	@echo "== $@"; rm -rf build/scenes
	@$(BIN)/python -m models.labelled_scenes "$(TRAINING_DATA)/plates.csv" --root "$(TRAINING_DATA)" --out build/scenes
	@$(MEASURE) scenes build/scenes $(ASIDE)

us_plates_float boxes_float: $(READY)
	@echo "== $@"; $(MEASURE) $(if $(filter us_%,$@),crops,boxes) $(VAL) $(if $(filter us_%,$@),--set us_plates) --models build/float $(ASIDE)

scenes_float: scenes
	@echo "== $@"; $(MEASURE) scenes build/scenes --models build/float $(ASIDE)

# Writes the figures of build/measured into models/manifest.json, if they are of the models that lie there.
pin: $(VENV)/.base
	$(BIN)/python -m models.evaluate pin build/measured/*.json

clean:
	rm -rf $(VENV) .venv-product .venv-audit build/fuzz build/sbom.cdx.json build/audit.json build/run build/reports build/scenes build/degraded build/passages build/measured build/arm64 build/card build/second-broker *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
