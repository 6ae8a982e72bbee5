# bash completion for headgate. Written by scripts/completion.
_headgate() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} flags='' files=''
  if [ "$current" = = ]; then # --flag=value comes as three words
    current=''
  elif [ "$previous" = = ]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case $COMP_CWORD:${COMP_WORDS[1]} in
    1:*) flags="run serve status watch limit orphans settle correct audit keygen init describe --help --version" ;;
    *:run) flags="-o --output --errors --limit --config --base-url --model --budget --max-concurrency --bind --progress --json --dry-run --fresh --changed --order --help" files=yes ;;
    *:serve) flags="--config --ledger --limit --drain --help" ;;
    *:status) flags="--config --ledger --budget --json --metrics --help" ;;
    *:watch) flags="--config --ledger --topics --from --json --plain --control --server-key --key --help" ;;
    *:limit) flags="--config --ledger --help" ;;
    *:orphans) flags="--config --ledger --json --help" ;;
    *:settle) flags="--config --ledger --help" ;;
    *:correct) flags="--why --id --config --ledger --help" ;;
    *:audit) flags="--config --ledger --json --help" ;;
    *:keygen) flags="--public --help" files=yes ;;
    *:init) flags="--limit --help" files=yes ;;
    *:describe) flags="--schema --commands --markdown --errors --counters --metrics --help" ;;
  esac
  case ${COMP_WORDS[1]}:$previous in
    run:-o | run:--output | run:--errors | run:--config | serve:--config | serve:--ledger | status:--config | status:--ledger | watch:--config | watch:--ledger | watch:--key | limit:--config | limit:--ledger | orphans:--config | orphans:--ledger | settle:--config | settle:--ledger | correct:--config | correct:--ledger | audit:--config | audit:--ledger)
      flags='' files=yes ;;
    run:--limit | run:--base-url | run:--model | run:--budget | run:--max-concurrency | run:--bind | serve:--limit | serve:--drain | status:--budget | watch:--topics | watch:--from | watch:--control | watch:--server-key | correct:--why | correct:--id | init:--limit)
      flags='' files='' ;;
    run:--progress)
      flags='auto always never' files='' ;;
    run:--changed)
      flags='stop redo keep' files='' ;;
    run:--order)
      flags='completion input' files='' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
  [ -n "$files" ] && [ "${current#-}" = "$current" ] || return 0
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -F _headgate headgate
