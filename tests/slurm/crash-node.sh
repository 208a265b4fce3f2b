#!/usr/bin/env bash
# crash-node.sh NODE [--slurmd-only]: simulate a power failure: kill a node's slurmd and all processes of its jobs.
# With --slurmd-only the jobs continue to run and to write. `start-cluster.sh NODE` brings the node back.
set -u
. "$(dirname "$0")/cluster.sh"
node=$1 file=$RUN/slurmd-$1.pid
alive "$file" slurmd || die "slurmd of $node is not running"
victims=$(cat "$file")

descendants() { # PID and all its descendants
  local child
  echo "$1"
  for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do descendants "$child"; done
}

if [ "${2:-}" != --slurmd-only ]; then
  for job in $(squeue -h -w "$node" -t R -o %A | sort -u); do
    for proc in /proc/[0-9]*; do
      [ "$(cat "$proc/comm" 2>/dev/null)" = slurmstepd ] || continue
      if tr '\0' ' ' <"$proc/cmdline" | grep -q "\[$job\."; then
        victims+=" $(descendants "${proc#/proc/}" | tr '\n' ' ')"
      fi
    done
  done
fi
# shellcheck disable=SC2086  # a list of pids
kill -KILL $victims 2>/dev/null
rm -f "$file"
say "crashed $node: pids $victims"
