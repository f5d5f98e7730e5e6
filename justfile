# Decide. `just` lists what there is; the logic is in Python, the recipes only name it.

set dotenv-load := false # the programs read .env themselves, and say what is wrong with it

python := if os_family() == "windows" { ".venv/Scripts/python.exe" } else { ".venv/bin/python" }
system_python := if os_family() == "windows" { "python" } else { "python3" }

# Most tests wait most of the time, so more of them than there are cores run side by side; then those that measure time, by themselves.
side_by_side := '-n 3 --maxschedchunk 2 -m "not alone"'
alone := 'tests/acceptance tests/e2e -m alone'

# Rooms that their own tests must reach whole. Counting makes tests half as slow again, so the others run without.
covering := 'tests/domain tests/cache tests/store tests/integration'
others := replace(covering, 'tests/', '--ignore=tests/')

peers_python := if os_family() == "windows" { ".venv-peers/Scripts/python.exe" } else { ".venv-peers/bin/python" }

# list the recipes
default:
    @just --list --unsorted

# warm the sample into the embedded store, start the server, ask it everything, stop
demo: _runtime
    exec {{ python }} -m app demo

# run the server until Ctrl-C (just serve --help)
serve *arguments: _runtime
    exec {{ python }} -m app serve {{ arguments }}

# load prices and agent outputs into the store (just warm --help)
warm *arguments: _runtime
    exec {{ python }} -m app warm {{ arguments }}

# make, list and revoke API keys in the store that the settings name (just keys --help)
keys *arguments: _runtime
    {{ python }} -m app keys {{ arguments }}

# take back what was loaded, while servers run: just withdraw AAPL, just withdraw --run RUN
withdraw *arguments: _runtime
    {{ python }} -m app withdraw {{ arguments }}

# start the Compose stack and wait until it is healthy: just up, just up dev, just up market (with PostgreSQL)
up *mode:
    {{ system_python }} ops/stack.py up {{ mode }}

# stop it (just down -v removes its data too)
down *arguments:
    {{ system_python }} ops/stack.py down {{ arguments }}

# what it says (just logs app)
logs *arguments:
    {{ system_python }} ops/stack.py logs {{ arguments }}

# what of it is running
ps *arguments:
    {{ system_python }} ops/stack.py ps {{ arguments }}

# API keys of the running stack: just stack-keys new --name bot
stack-keys *arguments:
    {{ system_python }} ops/stack.py keys {{ arguments }}

# take back what was loaded into it: just stack-withdraw AAPL, just stack-withdraw --run RUN
stack-withdraw *arguments:
    {{ system_python }} ops/stack.py withdraw {{ arguments }}

# load data into it anew while it runs
rewarm *arguments:
    {{ system_python }} ops/stack.py warm {{ arguments }}

# measure it, as acceptance; with --url any server, from here; --scenario peers, market or stream start their own (just bench --help)
bench *arguments:
    {{ if arguments =~ '--scenario[ =](peers|market|stream)' { just_executable() + " _bench_peers " + arguments } else if arguments =~ '--(url|help|list)' { just_executable() + " _bench_here " + arguments } else { system_python + " ops/stack.py bench " + arguments } }}

# what keys, limits and traces cost a decision from memory (Linux)
overhead *arguments: _dev
    {{ python }} -m bench.overhead {{ arguments }}

# the binary beside the package: start, memory, throughput (Linux; just measure-binary --binary dist/decide --package "COMMAND")
measure-binary *arguments: _dev
    {{ python }} -m bench --scenario peers --only binary {{ arguments }}

_bench_here *arguments: _bench
    {{ python }} -m app bench {{ arguments }}

_bench_peers *arguments: _peers
    {{ peers_python }} -m bench {{ arguments }}

# run the tests (just test tests/domain -k ladder)
test *arguments: _dev
    {{ python }} -m pytest {{ if arguments == "" { side_by_side } else { arguments } }}
    {{ if arguments == "" { python + " -m pytest " + alone } else { "" } }}

# build and start the real stack, hold it to what it promises, remove it (needs Docker)
acceptance *arguments: _dev
    DECIDE_STACK=1 {{ python }} -m pytest tests/acceptance -v --timeout 600 --durations 10 {{ arguments }}

# spoil Redis in every way under load, and write down what callers saw (bench/RESULTS.md)
faults: _dev
    FAULT_TABLE=bench/RESULTS.md {{ python }} -m pytest tests/e2e/test_faults.py -k no_fault -s

# the same for ten minutes (just soak 3600: an hour), with memory and open files watched
soak seconds="600": _dev
    SOAK_S={{ seconds }} {{ python }} -m pytest tests/e2e/test_faults.py -k long_time -s

# everything a change must pass: format, lint, types, layers, lock files, tests, coverage
check: _dev
    {{ python }} -m ruff format --check
    {{ python }} -m ruff check
    {{ python }} -m mypy
    {{ python }} -c "from importlinter.cli import lint_imports_command; lint_imports_command()"
    {{ python }} ops/lock.py --check
    {{ python }} -m pytest {{ side_by_side }} {{ covering }} --cov --cov-report=
    {{ python }} -m coverage report --fail-under=100
    {{ python }} -m pytest {{ side_by_side }} {{ others }}
    {{ python }} -m pytest {{ alone }}

# format and mend what can be mended by itself
fmt: _dev
    {{ python }} -m ruff check --fix
    {{ python }} -m ruff format

# make the sample in data/ anew (deterministic: it comes out as it is)
data: _dev
    {{ python }} data/make_prices.py
    {{ python }} data/make_agents.py

# build the package into dist/ (pip install takes it, with its extras warm, bench and traces)
package:
    @uv build --quiet --wheel --build-constraints requirements-build.lock --require-hashes --out-dir dist

# build the one file into dist/: decide, its checksum, the list of its parts, their licences (needs Docker; --check: twice, and compares)
binary *arguments:
    {{ system_python }} ops/binary/build.py {{ arguments }}

# write .env.example from the settings
env: _runtime
    {{ python }} -m app.settings > .env.example

# write down by digest or commit what is fetched by a tag (just pin images, just pin actions)
pin what:
    {{ system_python }} ops/pins.py {{ what }}

# bring the newest Swagger UI into app/docs/swagger-ui (Python's index has its files in a package, of which nothing else is taken)
swagger-ui:
    @uv pip install --quiet --no-deps --python .venv --target dist/swagger-ui --upgrade flask-swagger-ui
    @for name in $(ls app/docs/swagger-ui); do cp dist/swagger-ui/flask_swagger_ui/dist/$name app/docs/swagger-ui/; done

# bring the newest Lightweight Charts into app/console/lightweight-charts (with npm; look whether NOTICE and LICENSE-fancy-canvas still hold)
lightweight-charts:
    @mkdir -p dist/lightweight-charts
    @cd dist/lightweight-charts && tar -xzf "$(npm pack --silent lightweight-charts)"
    @cp dist/lightweight-charts/package/LICENSE dist/lightweight-charts/package/dist/*.standalone.production.mjs app/console/lightweight-charts
    @{{ system_python }} -c 'import json; print(json.load(open("dist/lightweight-charts/package/package.json"))["version"])' > app/console/lightweight-charts/VERSION

# resolve the dependencies anew into the requirements*.lock files
lock *arguments: _dev
    {{ python }} ops/lock.py {{ arguments }}

# what serving and warming need, hashes required, and the command `decide`
_runtime:
    @uv venv --quiet --allow-existing .venv
    @uv pip install --quiet --no-deps --python .venv --require-hashes -r requirements-warm.lock
    @uv pip install --quiet --no-deps --python .venv --build-constraints requirements-build.lock --editable .

# what the benchmark needs
_bench:
    @uv venv --quiet --allow-existing .venv
    @uv pip install --quiet --no-deps --python .venv --require-hashes -r requirements-bench.lock

# what Decide is measured against, and Feast, which does not go with the others
_peers:
    @uv venv --quiet --allow-existing .venv-peers
    @uv pip install --quiet --no-deps --python .venv-peers --require-hashes -r requirements-peers.lock
    @uv venv --quiet --allow-existing .venv-feast
    @uv pip install --quiet --no-deps --python .venv-feast --require-hashes -r requirements-feast.lock

# what tests and checks need besides
_dev:
    @uv venv --quiet --allow-existing .venv
    @uv pip install --quiet --no-deps --python .venv --require-hashes -r requirements-dev.lock
    @uv pip install --quiet --no-deps --python .venv --build-constraints requirements-build.lock --editable .
