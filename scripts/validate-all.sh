#!/bin/bash
# Everything that must hold before a change goes in, on Debian 12, from a clean checkout. It ends with 0 when all of it
# holds, else with 1 and the name of what does not; the logs are in build/validate.
#   scripts/validate-all.sh            all, in the order below
#   scripts/validate-all.sh STEP...    some: tidy lint test coverage requirement ledger stale
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$PWD/build/validate
mkdir -p "$logs"
steps=${*:-tidy lint test coverage requirement ledger stale}
failed=""

scripts/setup test && scripts/setup lint || exit 1
tidy() { tests/tidy; }
# clang-format, clang-tidy, cppcheck, gcc -fanalyzer
lint() { scripts/lint; }
# gcc and clang with warnings as errors, all tests, the simulation, AddressSanitizer, LeakSanitizer, UBSan, ThreadSanitizer,
# fuzzers, the demo
run_tests() { scripts/test; }
# of lines, 90 % of actors/, bus/, schemas/ and base/
coverage() { scripts/coverage; }
requirement() { scripts/check-req-coverage --req 8_RISKS-REQ-031; }

# A ledger as the program makes it, against schemas/ledger.sql.
ledger() {
  local folder code=0
  folder=$(mktemp -d) || return 1
  echo '{"tokenBudget": {"hardLimitTokens": 1000}}' >"$folder/devs.config.json"
  { build_program && build/dev/headgate limit default 2000 --config "$folder/devs.config.json" &&
    scripts/db-check --table token_budget --config "$folder/devs.config.json"; } || code=1
  rm -rf "$folder"
  return $code
}

# What is made of other files in the repository is what would be made of them now.
stale() {
  build_program && build/dev/tests/test_contract && python3 tests/integration/test_man.py build/dev && scripts/completion --check && scripts/check-abi
}

build_program() {
  cmake --preset dev >"$logs/build.log" 2>&1 && cmake --build build/dev -j "$(nproc)" >>"$logs/build.log" 2>&1
}

for step in $steps; do
  run=$step
  case $step in
    tidy | lint | coverage | requirement | ledger | stale) ;;
    test) run=run_tests ;;
    *) echo "scripts/validate-all.sh: there is no step \"$step\": tidy, lint, test, coverage, requirement, ledger, stale" >&2; exit 2 ;;
  esac
  if $run >"$logs/$step.log" 2>&1; then
    echo "$step: $(tail -n 1 "$logs/$step.log")"
  else
    tail -n 40 "$logs/$step.log" >&2
    echo "$step: FAILED; the log is $logs/$step.log"
    failed="$failed $step"
  fi
done
[ -z "$failed" ] || { echo "not valid:$failed"; exit 1; }
echo "all valid"
