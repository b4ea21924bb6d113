# The commands a developer needs; each is a shorthand for something that works without `just`.

# Lint and the fast tests: what every commit must pass.
default: lint fast

# Logos with a demo agent, until Ctrl-C.
serve *words:
    ./logos up --demo {{ words }}

# The whole suite; words go to pytest, for instance `just test tests/runs`.
test *words:
    ./logos test {{ words }}

# The tests that start no sandbox, browser or server.
fast *words:
    ./logos test -m "not sandbox and not runtime and not browser and not services and not sweep" {{ words }}

# Write the parts of docs/ that are made from code.
docs:
    ./logos docs

# ruff, mypy, djlint and the made pages, as in CI.
lint:
    ./logos lint

# Repair what a tool can repair.
fix:
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .
    ./logos docs
