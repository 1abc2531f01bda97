# shellcheck shell=bash
# Measuring: ./dev bench, soak and mutants. Sourced by dev.

help_bench() {
  cat <<'END'
Usage: ./dev bench [--quick] [--case NAME] [ARGUMENT...]
       ./dev bench --docs [REPORT.json]

Builds the gateway and measures it beside references with build/bin/mcgw-bench, in its own network namespaces. Takes at
most 40 minutes after the build, or 3 with --quick. Prints tables, and leaves every round in build/reports/bench.json
(or the file of --json). Arguments go to mcgw-bench (./dev bench -- --help lists them). The exit status is 3 if mcgw
lost a datagram without announcing it, or delivered one twice or out of order.

  --docs   write the measured part of docs/performance.md and its plots from the JSON of a full run; without one,
           measure first
END
}

# CMake finds a library that was installed after the build was configured only if it configures again.
configure_for_bench() {
  configure release
  if command -v pkg-config >/dev/null && pkg-config --exists libzmq &&
    ! grep -qs '^libzmq_FOUND:INTERNAL=1' build/CMakeCache.txt; then
    cmake --preset release >&2
  fi
}

run_bench() {
  cmd_setup build bench
  configure_for_bench
  build_preset release mcgwd mcgw-bench
  if [[ -z ${MCGW_NATS_SERVER-} && -x $nats/usr/sbin/nats-server ]]; then
    export MCGW_NATS_SERVER=$nats/usr/sbin/nats-server
  fi
  mkdir -p build/reports
  tests/support/in_namespace build/bin/mcgw-bench --json build/reports/bench.json "$@"
}

cmd_bench() {
  if [[ ${1-} == --docs ]]; then
    local report=${2-}
    if [[ -z $report ]]; then
      report=build/reports/bench.json
      run_bench
    fi
    bench/plot/make_docs "$report" docs/performance.md
    return
  fi
  local argument arguments=()
  for argument in "$@"; do
    if [[ $argument != -- ]]; then arguments+=("$argument"); fi
  done
  run_bench "${arguments[@]}"
}

help_soak() {
  cat <<'END'
Usage: ./dev soak [ARGUMENT...]
       ./dev soak simulation [ARGUMENT...]

Builds the gateway and keeps it under load for a long time, in its own network namespaces (--help lists the arguments).
`simulation` runs the gateway's floors in a simulated world instead, for an hour of seeds that no run has had before
unless the arguments say otherwise (mcgw-sim --help). The exit status is 2 if there is no soak test.
END
}

cmd_soak() {
  cmd_setup build test
  if [[ ${1:-} == simulation ]]; then
    build_preset release mcgw-sim
    exec build/bin/mcgw-sim --seed "$(date +%s)000000" --seeds 1000000000 --seconds 3600 "${@:2}"
  fi
  build_preset release
  [[ -x tests/system/soak ]] || die "soak: this version has no soak test"
  exec tests/support/in_namespace tests/system/soak "$@"
}

help_mutants() {
  cat <<'END'
Usage: ./dev mutants [--jobs N] [NAME...]
       ./dev mutants --list | --check

Measures the tests: applies the seeded faults of tests/mutants one by one to a copy of the sources in build/mutants,
builds it and runs the simulation, then the test programs of the floor, then all others, up to the first that fails.
Prints who caught each fault, and the percentage. Each takes 3 to 60 s on two cores, after a full build. The exit status
is 1 if less than 95 % are caught.

  NAME      only this mutant, or the mutants of this floor (net, http2, fanout, gateway, rpc, app)
  --jobs N  processes at a time; default: one for each core
  --list    list the mutants
  --check   only check that each mutant's old text is in the sources exactly once
END
}

cmd_mutants() {
  cmd_setup build test
  tests/mutants/run "$@"
}
