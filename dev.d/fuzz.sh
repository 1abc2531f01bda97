# shellcheck shell=bash
# Fuzzing: ./dev fuzz. Sourced by dev.

help_fuzz() {
  cat <<'END_OF_HELP'
Usage: ./dev fuzz [TARGET...] [--seconds N] [--runs N]

Builds the fuzz targets (tests/fuzz, default: all) with clang, libFuzzer, AddressSanitizer and
UndefinedBehaviorSanitizer, and runs one after the other on one core. Inputs that reach new code are kept in
build/fuzz/corpus, where the next run begins. A failure prints its file and the command that repeats it; the other
targets still run.

  --seconds N  how long each target runs (default: 10, or without limit if --runs is given)
  --runs N     how many inputs each target gets; the first limit reached ends it

An input that found something is kept in tests/fuzz/corpus/TARGET, which ./dev test runs.
END_OF_HELP
}

# Leaves its report in build/fuzz/reports, and prints a line.
run_fuzz_target() {
  local target=$1 report=build/fuzz/reports/$1.log found=build/fuzz/found/$1 status=0
  local corpus=build/fuzz/corpus/$target program=build/fuzz/tests/fuzz/$target file
  shift
  mkdir -p "$corpus" "$found" "${report%/*}"
  # A dictionary, because few inputs are valid by chance.
  UBSAN_OPTIONS=print_stacktrace=1 "$program" "$corpus" "tests/fuzz/corpus/$target" -dict=tests/fuzz/dictionary \
    -artifact_prefix="$found/" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 "$@" >"$report" 2>&1 || status=$?
  awk -v target="$target" '
    /^stat::number_of_executed_units/ { runs = $2 }
    /^stat::average_exec_per_sec/ { rate = $2 }
    /^stat::peak_rss_mb/ { memory = $2 }
    END { printf "%-18s %12d runs, %8d a second, %5d MB\n", target, runs, rate, memory }' "$report"
  [[ $status != 0 ]] || return 0
  file=$(sed -n 's/.*Test unit written to //p' "$report" | tail -1)
  say "fuzz: $target fails; the report is $report"
  if [[ -n $file ]]; then say "fuzz: the input is $file; repeat it by: $program $file"; fi
  return 1
}

cmd_fuzz() {
  local targets=() seconds='' runs='' limits=() target failed=()
  while [[ $# != 0 ]]; do
    case $1 in
      --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
      --runs) runs=${2:?--runs needs a number} && shift 2 ;;
      -*) die "fuzz: no such option: $1" ;;
      *) targets+=("$1") && shift ;;
    esac
  done
  if [[ ${#targets[@]} == 0 ]]; then mapfile -t targets < <(ls tests/fuzz/corpus); fi
  for target in "${targets[@]}"; do
    [[ -d tests/fuzz/corpus/$target ]] || die "fuzz: no such target: $target ($(cd tests/fuzz/corpus && echo *))"
  done
  if [[ -z $seconds && -z $runs ]]; then seconds=10; fi
  limits=(${seconds:+-max_total_time="$seconds"} ${runs:+-runs="$runs"})
  cmd_setup build fuzz
  build_preset fuzz "${targets[@]/#/fuzz_}"
  for target in "${targets[@]}"; do
    run_fuzz_target "$target" "${limits[@]}" || failed+=("$target")
  done
  [[ ${#failed[@]} == 0 ]] || die "fuzz: failed: ${failed[*]}"
}
