# Every target does the set-up that it needs; each may be run twice in a row. The work is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help demo tui test soak quiet bench up down images pictures generate lint clean setup

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  DEMO=ratelimiter|ratelimiter-node|etcd|tikv chooses the demo; ANTHROPIC_API_KEY makes the real model play"

demo: ## the main job, told in chapters: a system breaks, an Incident opens itself, the agent repairs it, it is proven
	@scripts/demo

tui: ## the terminal UI on this cluster; ARGS="demo ratelimiter -n demo", ARGS=--help
	@scripts/tui $(ARGS)

test: ## set-up, formatting, lints, generated files, unit, integration and end-to-end tests
	@scripts/test

soak: ## two controllers, fifty Incidents, one fault after the other for four minutes
	@scripts/soak

quiet: ## the rate limiter and etcd under load for ten minutes without a fault: any alarm fails
	@scripts/quiet

bench: ## measures what must be fast
	@scripts/bench

up: ## cluster, Postgres and controller, nothing else
	@scripts/up

down: ## undoes up and demo; leaves no container, network, mount or process
	@scripts/down

images: ## builds the images whose content changed
	@scripts/setup && scripts/docker-engine start && scripts/binaries && scripts/images

pictures: ## plays a demo in a real terminal and makes docs/pictures of it
	@scripts/pictures

generate: ## writes the CRDs and the chart made of them
	@scripts/generate

lint: ## formatting, clippy, scripts, charts, generated files
	@scripts/lint

setup: ## installs what is missing on this machine, and says what
	@scripts/setup

clean: ## removes target/, the images and the cache folder
	@scripts/clean
