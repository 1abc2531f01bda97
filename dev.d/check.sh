# shellcheck shell=bash
# The sources: ./dev fmt, lint, gen, clients. Sourced by dev.

help_fmt() {
  cat <<'END'
Usage: ./dev fmt

Formats the C++ sources (clang-format), the protocol definitions (buf), and the clients in Go (gofmt) and Python (ruff).
END
}

cpp_files() {
  git ls-files --cached --others --exclude-standard '*.cc' '*.h'
}

own_protos=proto/multicast

cmd_fmt() {
  [[ $# == 0 ]] || die "fmt: takes no arguments"
  cmd_setup languages lint
  cpp_files | xargs -r clang-format -i
  if [[ -f proto/buf.yaml ]]; then (cd proto && "$buf" format -w --path "${own_protos#proto/}"); fi
  if command -v gofmt >/dev/null; then gofmt -w client/go/cmd; fi
  "$(client/python/environment)/bin/ruff" format --quiet --no-cache client/python
}

help_lint() {
  cat <<'END'
Usage: ./dev lint [CHECK...]

Runs the named checks, or all of them:

  floors     includes between the floors of the server point down only
  shell      shellcheck on the scripts
  python     the Python files compile; ruff and, for the client, mypy
  go         go vet on the client
  format     clang-format, buf format, gofmt and, for the client, ruff format would change nothing
  generated  the committed generated code matches the protocol definitions
  proto      buf lint
  tidy       clang-tidy and clang's thread-safety analysis (results are cached per file)
END
}

lint_floors() { tests/support/check_floors; }

lint_shell() {
  local scripts
  mapfile -t scripts < <(find . -path ./build -prune -o -path ./.git -prune -o -type f -size -200k -print0 |
    xargs -0 awk 'FNR == 1 { if (/^#!.*(bash|\/sh|env sh)/) print FILENAME; nextfile }')
  shellcheck --external-sources --severity=style "${scripts[@]}"
}

lint_python() {
  local scripts
  mapfile -t scripts < <(find . -path ./build -prune -o -path ./.git -prune -o -type f -size -200k -print0 |
    xargs -0 awk 'FNR == 1 { if (/^#!.*python/ || FILENAME ~ /\.py$/) print FILENAME; nextfile }')
  python3 - "${scripts[@]}" <<'END'
import sys, warnings
warnings.simplefilter("error")
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
END
  local bin
  bin=$(client/python/environment)/bin
  "$bin/ruff" check --quiet --no-cache client/python
  (cd client/python && "$bin/mypy" --no-error-summary --cache-dir "${tools%/tools}/mypy")
}

lint_go() {
  if ! command -v go >/dev/null; then
    say "Go is not installed: skipped"
    [[ ${CI-} != true ]]
    return
  fi
  (cd client/go && go vet ./...)
}

lint_generated() { client/generate --check; }

lint_format() {
  cpp_files | xargs -r clang-format --dry-run -Werror
  if [[ -f proto/buf.yaml ]]; then
    (cd proto && "$buf" format --diff --exit-code --path "${own_protos#proto/}")
  fi
  local unformatted=''
  if command -v gofmt >/dev/null; then unformatted=$(gofmt -l client/go/cmd); fi
  [[ -z $unformatted ]] || die "gofmt would change $unformatted: run ./dev fmt"
  "$(client/python/environment)/bin/ruff" format --quiet --no-cache --check client/python
}

lint_proto() {
  if [[ -f proto/buf.yaml ]]; then (cd proto && "$buf" lint); fi
}

lint_tidy() {
  build_preset tidy mcgw_generated
  tests/support/tidy build/tidy
}

cmd_lint() {
  local checks=("$@") check failed=()
  [[ $# != 0 ]] || checks=(floors shell python go format proto generated tidy)
  for check in "${checks[@]}"; do
    [[ $(type -t "lint_$check") == function ]] || die "lint: no such check: $check"
  done
  cmd_setup languages lint
  if [[ " ${checks[*]} " == *" tidy "* || " ${checks[*]} " == *" generated "* ]]; then cmd_setup build; fi
  if [[ ${#checks[@]} == 1 ]]; then
    "lint_${checks[0]}"
    return
  fi
  # Each in a separate process, because a condition switches `set -e` off.
  for check in "${checks[@]}"; do
    say "lint: $check"
    ./dev lint "$check" || failed+=("$check")
  done
  [[ ${#failed[@]} == 0 ]] || die "lint: failed: ${failed[*]}"
  say "lint: clean"
}

help_gen() {
  cat <<'END'
Usage: ./dev gen

Generates the committed code of the Go client (client/go/gen) and the Python client (client/python/src/mcgw/v1) from
proto/. Maven generates the Java code at each build, and CMake the C++ code.
END
}

cmd_gen() {
  [[ $# == 0 ]] || die "gen: takes no arguments"
  cmd_setup build languages
  client/generate
}

help_clients() {
  cat <<'END'
Usage: ./dev clients [go] [java] [python]

Builds the clients in these languages (default: all), each by its own tool (see client/LANGUAGE/README.md). Leaves each
example as build/clients/LANGUAGE/mcgw-example.
END
}

cmd_clients() {
  cmd_setup languages
  client/build "$@"
}
