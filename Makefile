# Andon 安灯. Needs Python 3.11+, Node 20.19+ and make; everything else it brings itself.
# `make help` lists the targets; stamps make repeated runs instant.
SHELL := /bin/sh
.DEFAULT_GOAL := help
UV_VERSION := 0.13.8
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
CONSOLE := shared/console
UV_STAMP := .venv/.andon-uv-$(UV_VERSION)
SYNC_STAMP := .venv/.andon-synced
KERNEL_STAMP := .venv/.andon-kernel
NPM_STAMP := $(CONSOLE)/node_modules/.andon-installed
DIST := $(CONSOLE)/dist/index.html
CONSOLE_SOURCES := $(shell find $(CONSOLE)/src $(CONSOLE)/public -type f 2>/dev/null) \
	$(wildcard $(CONSOLE)/*.html $(CONSOLE)/*.ts $(CONSOLE)/*.json)
KERNEL_SOURCES := $(wildcard edge_node/kernel/*.pyx edge_node/kernel/*.pxi)
PYTEST := $(BIN)/python -m pytest --durations=15
ONCE_MORE := $(BIN)/python -m tests.support.once_more
say = @printf '→ %s / %s\n'

.PHONY: help setup python check lint types contracts unit vitest browser test e2e console demo gen docs \
	bench soak clean

help: ## this list / 本列表
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

$(UV_STAMP):
	@test -n "$(PYTHON)" || { \
	  echo "需要带 venv 的 Python 3.11+ / Python 3.11+ with venv is needed;" \
	  "Debian: apt install python3 python3-venv" >&2; exit 2; }
	$(say) "创建虚拟环境并装入 uv" "making the virtual environment, bringing uv into it"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip -q
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(SYNC_STAMP): $(UV_STAMP) pyproject.toml uv.lock setup.py
	$(say) "安装依赖 (首次约 1-3 分钟)" "installing the locked dependencies (1-3 minutes at first)"
	@$(BIN)/uv sync --frozen --all-extras
	@touch $@

$(KERNEL_STAMP): $(SYNC_STAMP) $(KERNEL_SOURCES) setup.py
	@if command -v cc >/dev/null 2>&1; then \
	  printf '→ %s / %s\n' "编译内核" "compiling the kernel"; \
	  $(BIN)/python setup.py -q build_ext --inplace; \
	elif [ "$$ANDON_REQUIRE_KERNEL" = 1 ]; then \
	  echo "需要 C 编译器 / a C compiler is needed: ANDON_REQUIRE_KERNEL=1" >&2; exit 2; \
	else \
	  echo "→ 无 C 编译器, 使用纯 Python 内核 / no C compiler: the pure Python kernel is used"; \
	fi
	@touch $@

$(NPM_STAMP): $(CONSOLE)/package.json $(CONSOLE)/package-lock.json
	@command -v npm >/dev/null 2>&1 || { \
	  echo "需要 Node 20.19+ (含 npm) / Node 20.19+ with npm is needed" >&2; exit 2; }
	$(say) "安装控制台依赖 (首次约 1 分钟)" "installing the console's packages (about 1 minute at first)"
	@cd $(CONSOLE) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(DIST): $(NPM_STAMP) $(CONSOLE_SOURCES)
	$(say) "构建控制台" "building the console"
	@cd $(CONSOLE) && npm run --silent build
	@touch $@

python: $(KERNEL_STAMP) ## Python environment only / 只装 Python 环境
setup: python $(DIST) ## everything that the rest needs / 准备全部环境
console: $(DIST) ## build the console / 构建控制台

lint: python ## ruff: rules and format / 代码规则与格式
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
types: python ## basedpyright / 类型检查
	@$(BIN)/basedpyright
contracts: python ## import contracts / 导入约定
	@$(BIN)/lint-imports --no-logo
unit: python ## unit and architecture tests / 单元与结构测试
	@$(PYTEST) -q tests/unit tests/architecture
vitest: $(NPM_STAMP) ## console: unit tests / 控制台单元测试
	@cd $(CONSOLE) && npm run --silent test

check: lint contracts types vitest unit ## the fast part, about a minute / 快速检查

browser: python ## a browser and an MQTT broker for the tests / 测试用的浏览器和 MQTT 代理
	@tests/support/get_browser.sh || test "$$CI" != true
	@tests/support/get_mosquitto.sh || test "$$CI" != true
	@tests/support/get_mariadb.sh || test "$$CI" != true
	@tests/support/get_influxdb.sh || test "$$CI" != true
	@tests/support/get_keycloak.sh >/dev/null || test "$$CI" != true

test: setup browser lint contracts types vitest ## everything, real servers included / 全部测试
	$(say) "全部测试 (约 25 分钟)" "all tests on real servers (about 25 minutes)"
	@$(PYTEST) -n 3 --dist loadfile --ignore=tests/acceptance --ignore=tests/console tests \
	  || $(ONCE_MORE)
	@$(PYTEST) tests/acceptance tests/console || $(ONCE_MORE)

e2e: setup browser ## the whole journey and the console / 端到端
	@$(PYTEST) tests/acceptance tests/console

demo: setup ## the whole plant on this machine / 启动演示
	@$(BIN)/andon up

gen: python $(NPM_STAMP) ## files that are made from code / 由代码生成的文件
	@$(BIN)/andon gen all
	@cd $(CONSOLE) && npm run --silent gen

docs: gen ## the reference, and check the documentation / 文档
	@$(PYTEST) -q tests/architecture/test_documents.py

bench: setup ## latencies on the real servers, as JSON / 性能数字
	@$(BIN)/andon bench e2e --json

soak: setup ## the whole chaos suite; writes docs/reference/chaos-report.md / 完整混沌测试
	$(say) "混沌测试: 断电、断网、磁盘 (约 10 分钟)" "kills, cuts, disks: about 10 minutes"
	@ANDON_CHAOS=whole $(PYTEST) tests/chaos -v

clean: ## what can be made again (not the state folder) / 清理
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache \
	  $(CONSOLE)/dist/assets $(DIST) $(CONSOLE)/dist/command.html
	find . -name __pycache__ -not -path './.venv/*' -not -path '*/node_modules/*' \
	  -prune -exec rm -rf {} +
