# Shortcuts for the daily commands; the scripts work without just.

# List the commands
default:
    @just --list

# Create a sample database, serve it, and show a cancel
demo *ARGS:
    cargo run --release --locked -- demo {{ ARGS }}

# Run the tests on both databases, such as `just test cancel`
test *ARGS:
    scripts/test {{ ARGS }}

# Format, then run clippy and cargo-deny
lint:
    cargo fmt
    cargo fmt --manifest-path fuzz/Cargo.toml
    cargo clippy --locked --all-targets -- -D warnings
    scripts/deny

# Write sqlx-data.json, the cache of checked queries
prepare *ARGS:
    scripts/prepare {{ ARGS }}

# Write tests/golden/, the statements that the service sends
golden:
    UPDATE_GOLDEN=1 cargo test --locked --test it golden

# Write src/store/postgres/schema.json, the schema that `check` expects
schema:
    UPDATE_SCHEMA=1 cargo test --locked --test it the_list_of_the_schema

# Fuzz each target for so many seconds
fuzz SECONDS="60":
    scripts/fuzz {{ SECONDS }}

# Test the running service against its own description
schemathesis *ARGS:
    scripts/schemathesis {{ ARGS }}

# Compare the service with the databases alone, such as `just bench -- --help`
bench *ARGS:
    cargo bench --locked --bench service {{ ARGS }}

# Build the Debian package
deb:
    scripts/deb

# Install the Debian package into a Debian root and start the service there; needs root
deb-test:
    scripts/deb-test

# Everything that must pass before a change lands
ci:
    .ci/run
