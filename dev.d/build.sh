# shellcheck shell=bash
# Building and trying: ./dev build, test, demo, run. Sourced by dev.

help_build() {
  cat <<'END'
Usage: ./dev build [--preset NAME] [TARGET...]

Builds the preset (default: release, in build/; others in build/NAME), or only the targets named.
Presets: release dev asan asan-floors tsan tidy fuzz coverage (CMakePresets.json explains each).
END
}

build_dir() {
  if [[ $1 == release ]]; then echo build; else echo "build/$1"; fi
}

configure() {
  local dir
  dir=$(build_dir "$1")
  if [[ ! -f $dir/build.ninja || CMakePresets.json -nt $dir/build.ninja ]]; then
    cmake --preset "$1" >&2
  fi
}

build_preset() {
  local preset=$1 start=$SECONDS
  shift
  configure "$preset"
  cmake --build --preset "$preset" ${1:+--target "$@"} >&2
  say "build: $preset took $((SECONDS - start)) s"
}

cmd_build() {
  local preset=release targets=()
  while [[ $# != 0 ]]; do
    case $1 in
      --preset) preset=${2:?--preset needs a name} && shift 2 ;;
      -*) die "build: no such option: $1" ;;
      *) targets+=("$1") && shift ;;
    esac
  done
  cmd_setup build
  build_preset "$preset" "${targets[@]}"
}

help_test() {
  cat <<'END'
Usage: ./dev test [--sanitizers] [--long] [--preset NAME] [--filter REGEX]

Builds the release preset and runs all its tests. The last line counts passed, failed and skipped tests. Works as
root and, if the kernel allows user namespaces, as an ordinary user. With CI=true a skipped test is a failure.

  --sanitizers    also test the floors below gRPC under AddressSanitizer with UndefinedBehaviorSanitizer, and under
                  ThreadSanitizer
  --long          also run the long tests, the unit tests and the daemon under valgrind, the kernel tests under a
                  second kernel, all tests under AddressSanitizer, the floors and the daemon under ThreadSanitizer,
                  and each fuzz target for a minute
  --preset NAME   test only this preset
  --filter REGEX  run only tests whose CTest name matches; without --preset only in the release preset
END
}

run_suite() {
  local preset=$1 report=$root/build/reports/$1.xml status=0 start=$SECONDS
  shift
  say "tests: $preset"
  mkdir -p "${report%/*}"
  rm -f "$report"
  # One more than there are cores, since most system tests wait: on 2 cores all took 222 s instead of 274 s.
  ctest --preset "$preset" --parallel "$((jobs + 1))" --output-junit "$report" --test-output-size-passed 10000000 \
    --test-output-size-failed 10000000 "$@" || status=$?
  [[ -f $report ]] || echo "<testsuite name='$preset' tests='0'/>" >"$report"
  reports+=("$report")
  say "tests: $preset took $((SECONDS - start)) s"
  return $status
}

cmd_test() {
  local long='' sanitizers='' preset='' filter='' suites=() arguments=() suite status=0
  reports=()
  while [[ $# != 0 ]]; do
    case $1 in
      --long) long=1 && shift ;;
      --sanitizers) sanitizers=1 && shift ;;
      --preset) preset=${2:?--preset needs a name} && shift 2 ;;
      --filter) filter=${2:?--filter needs an expression} && shift 2 ;;
      *) die "test: no such option: $1" ;;
    esac
  done
  cmd_setup build test languages ${long:+container long}
  SECONDS=0
  if [[ -n $preset ]]; then
    suites=("$preset")
  elif [[ -n $filter ]]; then
    suites=(release)
  else
    suites=(release)
    if [[ -n $sanitizers ]]; then suites=(release asan-floors tsan); fi
    if [[ -n $long ]]; then suites=(release asan tsan tsan-daemon); fi
  fi
  if [[ -n $filter ]]; then arguments+=(--tests-regex "$filter"); fi
  if [[ -z $long ]]; then arguments+=(--label-exclude '^long$'); fi
  for suite in "${suites[@]}"; do
    build_preset "$suite" # Not inside a condition, so that a failed build ends the run.
    run_suite "$suite" "${arguments[@]}" || status=1
  done
  if [[ -n $long && -z $preset && -z $filter ]]; then
    (cmd_fuzz --seconds 60) || status=1 # In a subshell, so that a finding does not end this run before its summary.
  fi
  say "test: took $SECONDS s"
  tests/support/summary "${reports[@]}" || status=1
  return $status
}

help_demo() {
  cat <<'END'
Usage: ./dev demo

Builds the gateway and shows it at work: a gRPC subscription receives the multicast stream of an ordinary program, and
an ordinary program receives datagrams published over gRPC. Network namespaces simulate two hosts, and are removed at
the end. Takes a few seconds once built. Leaves this machine's network unchanged.
END
}

cmd_demo() {
  [[ $# == 0 ]] || die "demo: takes no arguments"
  cmd_setup build demo
  build_preset release mcgwd mcgw
  tests/support/in_namespace tests/support/demo
}

help_run() {
  cat <<'END'
Usage: ./dev run [ARGUMENT...]

Builds the gateway and starts it in the foreground, by default on 127.0.0.1:50051. Arguments go to mcgwd
(./dev run -- --help lists them).
END
}

cmd_run() {
  if [[ ${1-} == -- ]]; then shift; fi
  cmd_setup build
  build_preset release mcgwd
  exec build/bin/mcgwd "$@"
}
