# Sourced by all scripts of the cluster. State, logs and pid files are in $CLUSTER_DIR.
CLUSTER_DIR=${CLUSTER_DIR:-${TMPDIR:-/tmp}/voxscale-slurm}
RUN=$CLUSTER_DIR/run
LOG=$CLUSTER_DIR/log
CPU_NODES=(cpu1 cpu2 cpu3)
GPU_NODES=(gpu1 gpu2)
NODES=("${CPU_NODES[@]}" "${GPU_NODES[@]}")
CPUS=2
MEMORY=8000 # MB per node
GPUS=2      # per GPU node
T0=$(date +%s)

say() { printf '[%3ds] %s\n' "$(($(date +%s) - T0))" "$*"; }
die() { echo "cluster: $*" >&2; exit 1; }
not_here() { echo "cluster: $*" >&2; exit 77; } # status 77: no cluster can run on this machine

# is PID NAME: is the process still that program? (Pids are used again; a zombie counts as gone.)
is() {
  [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

# alive PIDFILE NAME
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && is "$pid" "$2"
}

# within SECONDS WHAT COMMAND...: repeat the command until it succeeds
within() {
  local tries=$(($1 * 10)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || die "no $what in time; its log is in $LOG"
    sleep 0.1
  done
}
