#!/usr/bin/env bash
# stop-cluster.sh [--wipe | DAEMON|NODE...]: stop exactly the daemons that start-cluster.sh started.
# Without names it cancels jobs, stops all daemons and removes the configuration, since otherwise each SLURM command
# would wait for a stopped daemon; with --wipe it also deletes the state, so that the next cluster is new; with names
# (slurmctld, slurmdbd, cpu1, ...) it stops only those.
set -uo pipefail
. "$(dirname "$0")/cluster.sh"
failed=0

stop() { # PIDFILE NAME SECONDS: TERM, wait, KILL
  local tries=$(($3 * 10)) pid
  alive "$1" "$2" || { rm -f "$1"; return; }
  pid=$(cat "$1")
  kill -TERM "$pid"
  while is "$pid" "$2" && [ $tries -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done
  if is "$pid" "$2"; then kill -KILL "$pid"; sleep 0.3; fi
  if is "$pid" "$2"; then say "$2 ($pid) is still there"; failed=1; else rm -f "$1"; say "stopped $2"; fi
}

if [ $# -gt 0 ] && [ "$1" != --wipe ]; then
  for name in "$@"; do
    case $name in
      slurmctld | slurmdbd) stop "$RUN/$name.pid" "$name" 20 ;;
      *) stop "$RUN/slurmd-$name.pid" slurmd 10 ;;
    esac
  done
  exit $failed
fi
if alive "$RUN/slurmctld.pid" slurmctld; then
  scancel --user="$(id -un)" 2>/dev/null
  for _ in $(seq 150); do [ -z "$(squeue -h 2>/dev/null)" ] && break; sleep 0.1; done
fi
for node in "${NODES[@]}"; do stop "$RUN/slurmd-$node.pid" slurmd 10; done
stop "$RUN/slurmctld.pid" slurmctld 20
stop "$RUN/slurmdbd.pid" slurmdbd 20
stop "$RUN/mariadb.pid" mariadbd 30
stop "$RUN/munged.pid" munged 5
if [ $failed = 0 ] && grep -qs '^# written by start-cluster.sh' /etc/slurm/slurm.conf; then
  rm -f /etc/slurm/{slurm,gres,slurmdbd}.conf
fi
if [ "${1:-}" = --wipe ] && [ $failed = 0 ]; then
  rm -rf "$CLUSTER_DIR"
  say "wiped $CLUSTER_DIR"
fi
exit $failed
