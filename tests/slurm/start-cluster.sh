#!/usr/bin/env bash
# start-cluster.sh [DAEMON|NODE...]: a real SLURM cluster on this machine, for tests. Debian, as root.
#
#   partition cpu (default)  nodes cpu1 cpu2 cpu3, 2 CPUs and 8,000 MB each
#   partition urgent         the same nodes; its jobs preempt those of cpu
#   partition short          the same nodes, with a time limit of three minutes
#   partition gpu            nodes gpu1 gpu2, the same with 2 simulated GPUs each (nothing can compute on them)
#
# slurmctld, slurmdbd with MariaDB, munge and one slurmd per node, all on loopback, without systemd or cgroups.
# Installs what is missing. Starts only what is not running; with names, only those
# (slurmctld, slurmdbd, cpu1, ...). stop-cluster.sh stops exactly what was started here.
#
# Exits with status 77 if no cluster can be started: not root, not Debian, no packages, or one already exists.
#
# Environment: CLUSTER_DIR (state, default $TMPDIR/voxscale-slurm), CLUSTER_PORT (first port, default 16800).
set -euo pipefail
. "$(dirname "$0")/cluster.sh"

# The daemons must not keep open what this process was given, such as a lock that it was started under.
for fd in "/proc/$$/fd/"*; do
  fd=${fd##*/}
  [ "$fd" -le 2 ] || [ "$fd" = 255 ] || exec {fd}>&-
done

PORT=${CLUSTER_PORT:-16800}
HOST=$(hostname -s)
# Not a private place behind $SLURM_CONF: Snakemake's job steps drop every SLURM_* variable.
ETC=/etc/slurm
MARK='# written by start-cluster.sh'

apt() { # as apt-get, waiting up to five minutes for another one; its own Lock::Timeout is for one of three locks
  local tries=60
  until DEBIAN_FRONTEND=noninteractive apt-get "$@" >"$LOG/apt.log" 2>&1; do
    grep -q 'Could not get lock' "$LOG/apt.log" && [ $tries -gt 0 ] || return 1
    [ $tries != 60 ] || say "waiting for another apt"
    tries=$((tries - 1))
    sleep 5
  done
}

install_packages() {
  local missing=() package own_policy=
  for package in slurmctld slurmd slurmdbd slurm-client munge mariadb-server; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  if [ ! -e /usr/sbin/policy-rc.d ]; then # the packages must not start their daemons
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    own_policy=1
  fi
  (apt update && apt install -y --no-install-recommends "${missing[@]}") || missing=(failed)
  [ -z "$own_policy" ] || rm -f /usr/sbin/policy-rc.d
  [ "${missing[0]}" != failed ] || not_here "Debian's packages cannot be had; see $LOG/apt.log"
}

write_config() {
  local n node port=$((PORT + 30)) lines=
  if [ -e $ETC/slurm.conf ] && ! grep -qF "$MARK" $ETC/slurm.conf; then
    not_here "$ETC/slurm.conf belongs to another cluster; use that one, or move it away"
  fi
  mkdir -p "$CLUSTER_DIR"/{slurmctld,gpu,secret} $ETC
  chmod 700 "$CLUSTER_DIR/secret"
  (
    umask 077
    cd "$CLUSTER_DIR/secret"
    [ -s munge.key ] || head -c 1024 /dev/urandom >munge.key
    [ -s db.pass ] || od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >db.pass
  )
  # slurmd needs character devices: with plain files CUDA_VISIBLE_DEVICES stays unset. These are copies of /dev/null.
  for n in $(seq 0 $((GPUS - 1))); do
    [ -c "$CLUSTER_DIR/gpu/gpu$n" ] || mknod "$CLUSTER_DIR/gpu/gpu$n" c 1 3
  done
  getent hosts "$HOST" >/dev/null || echo "127.0.0.1 $HOST" >>/etc/hosts
  for node in "${NODES[@]}"; do
    lines+="NodeName=$node NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$port CPUs=$CPUS RealMemory=$MEMORY"
    [[ $node != gpu* ]] || lines+=" Gres=gpu:fake:$GPUS"
    lines+=" State=UNKNOWN"$'\n'
    port=$((port + 1))
  done
  cat >"$ETC/slurm.conf" <<CONF
$MARK
ClusterName=voxscale
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$RUN/munge.socket
SlurmctldPort=$((PORT + 17))
SrunPortRange=$((PORT + 100))-$((PORT + 1099))
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPidFile=$RUN/slurmctld.pid
SlurmdPidFile=$RUN/slurmd-%n.pid
StateSaveLocation=$CLUSTER_DIR/slurmctld
SlurmdSpoolDir=$CLUSTER_DIR/slurmd-%n
SlurmctldLogFile=$LOG/slurmctld.log
SlurmdLogFile=$LOG/slurmd-%n.log

# no cgroups: a job's processes are found by /proc, its memory is polled, and over its --mem it is killed
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
MpiDefault=none

SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
DefMemPerCPU=500
# this machine may have less than the nodes claim
SlurmdParameters=config_overrides

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT + 19))
AccountingStoragePass=$RUN/munge.socket
AccountingStorageTRES=gres/gpu,gres/gpu:fake
AccountingStorageEnforce=associations,limits,qos
AccountingStoreFlags=job_comment
# as by default, a job that can never run stays pending
EnforcePartLimits=NO

JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdTimeout=${CLUSTER_SLURMD_TIMEOUT:-5}
SlurmctldTimeout=60
KillWait=2
MinJobAge=300
MaxJobCount=20000

${lines}PartitionName=cpu Nodes=$(IFS=,; echo "${CPU_NODES[*]}") Default=YES DefaultTime=10 MaxTime=1-00:00:00 State=UP
PartitionName=urgent Nodes=$(IFS=,; echo "${CPU_NODES[*]}") Default=NO PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=short Nodes=$(IFS=,; echo "${CPU_NODES[*]}") Default=NO MaxTime=3 State=UP
PartitionName=gpu Nodes=$(IFS=,; echo "${GPU_NODES[*]}") Default=NO DefaultTime=10 MaxTime=1-00:00:00 State=UP
CONF
  {
    echo "$MARK"
    for node in "${GPU_NODES[@]}"; do
      echo "NodeName=$node Name=gpu Type=fake File=$CLUSTER_DIR/gpu/gpu[0-$((GPUS - 1))]"
    done
  } >"$ETC/gres.conf"
  (umask 077; cat >"$ETC/slurmdbd.conf" <<CONF
$MARK
AuthType=auth/munge
AuthInfo=socket=$RUN/munge.socket
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT + 19))
CommunicationParameters=NoInAddrAny
SlurmUser=root
PidFile=$RUN/slurmdbd.pid
LogFile=$LOG/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((PORT + 6))
StorageUser=slurm
StoragePass=$(cat "$CLUSTER_DIR/secret/db.pass")
StorageLoc=slurm_acct_db
CONF
  )
}

start_munge() {
  alive "$RUN/munged.pid" munged && return
  say munged
  munged --key-file="$CLUSTER_DIR/secret/munge.key" --socket="$RUN/munge.socket" --pid-file="$RUN/munged.pid" \
    --log-file="$LOG/munged.log" --seed-file="$CLUSTER_DIR/secret/munged.seed" --force >>"$LOG/munged.out" 2>&1
  within 10 munged munge -n -S "$RUN/munge.socket"
}

sql() { mariadb --no-defaults -uroot --socket="$RUN/mysql/mysql.sock" "$@"; }

start_database() {
  local data=$CLUSTER_DIR/mysql pass
  pass=$(cat "$CLUSTER_DIR/secret/db.pass")
  if [ ! -e "$data/.whole" ]; then
    rm -rf "$data"
    mkdir -p "$data"
    chown mysql: "$data"
    mariadb-install-db --no-defaults --user=mysql --datadir="$data" --skip-test-db \
      --auth-root-authentication-method=socket --auth-root-socket-user=root >"$LOG/mariadb-install.log" 2>&1
    touch "$data/.whole"
  fi
  if ! alive "$RUN/mariadb.pid" mariadbd; then
    say mariadbd
    mkdir -p "$RUN/mysql"
    touch "$LOG/mariadb.log"
    chown mysql: "$RUN/mysql" "$LOG/mariadb.log"
    setsid mariadbd --no-defaults --user=mysql --datadir="$data" --socket="$RUN/mysql/mysql.sock" \
      --pid-file="$RUN/mysql/mariadb.pid" --bind-address=127.0.0.1 --port=$((PORT + 6)) --skip-name-resolve \
      --log-error="$LOG/mariadb.log" --innodb-buffer-pool-size=64M --innodb-log-file-size=32M \
      --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=2 --max-allowed-packet=64M \
      </dev/null >>"$LOG/mariadb.out" 2>&1 &
    echo $! >"$RUN/mariadb.pid"
    within 60 mariadbd sql -e 'select 1'
  fi
  sql -e "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
          CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '$pass';
          GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';"
}

start_slurmdbd() {
  alive "$RUN/slurmdbd.pid" slurmdbd && return
  say slurmdbd
  rm -f "$RUN/slurmdbd.pid"
  slurmdbd >>"$LOG/slurmdbd.out" 2>&1
  within 60 slurmdbd sacctmgr -n list cluster
}

add_accounts() { # they must exist before slurmctld enforces them
  {
    sacctmgr -nP list cluster format=cluster | grep -qx voxscale || sacctmgr -iQ add cluster voxscale
    sacctmgr -nP list account format=account | grep -qx lab || sacctmgr -iQ add account lab cluster=voxscale
    sacctmgr -nP list assoc user=root format=account | grep -qx lab || sacctmgr -iQ add user root account=lab
  } >>"$LOG/sacctmgr.out" 2>&1
}

start_slurmctld() {
  alive "$RUN/slurmctld.pid" slurmctld && return
  say slurmctld
  rm -f "$RUN/slurmctld.pid"
  slurmctld >>"$LOG/slurmctld.out" 2>&1
  within 30 slurmctld scontrol ping
}

start_node() {
  alive "$RUN/slurmd-$1.pid" slurmd && return
  say "slurmd of $1"
  rm -f "$RUN/slurmd-$1.pid"
  mkdir -p "$CLUSTER_DIR/slurmd-$1"
  slurmd -N "$1" >>"$LOG/slurmd-$1.out" 2>&1
}

all_up() {
  local node
  for node in $(sinfo -h -N -o '%N %t' | awk '$2 ~ /down|drain/ {print $1}' | sort -u); do
    scontrol update nodename="$node" state=resume || true # its state after a crash
  done
  [ "$(sinfo -h -N -o '%N %t' | awk '$2 ~ /^(idle|mix|alloc|comp)$/ {print $1}' | sort -u | wc -l)" = ${#NODES[@]} ]
}

if [ $# -gt 0 ]; then
  for name in "$@"; do
    case $name in slurmctld | slurmdbd) "start_$name" ;; *) start_node "$name" ;; esac
  done
  exit 0
fi
[ "$(id -u)" = 0 ] || not_here "must be root"
command -v apt-get >/dev/null || not_here "must be Debian"
mkdir -p "$RUN" "$LOG"
chmod 755 "$CLUSTER_DIR" "$RUN" "$LOG"
install_packages
write_config
start_munge
start_database
start_slurmdbd
add_accounts
start_slurmctld
for node in "${NODES[@]}"; do start_node "$node"; done
within 60 "node up" all_up
say "ready: $(slurmctld -V)"
sinfo -N -o '%N %P %t %c %m %G'
