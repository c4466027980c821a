#!/bin/sh
# The guard: process 1 of the database's container. It starts the manager, starts it anew when it ends, reaps
# orphans, and kills everything once the deadline of the last beat has passed: a manager that froze cannot
# extend it, nor can its PostgreSQL outlive it.
#
# The manager beats by lines in a FIFO: "deadline <seconds, in the time of /proc/uptime>" or "none".

# First of all: a signal that process 1 does not yet wait for is lost, and it is sent only once.
manager='' stopping=''
trap 'stopping=1' TERM INT

# Only here is "everything" (kill -1) no more than this container.
if [ $$ != 1 ]; then
  echo 'guard: not process 1, so "kill everything" would reach beyond the container' >&2
  exit 64
fi
# read -t: bash and busybox have it, dash does not.
if [ -z "$BASH_VERSION" ] && [ -x /bin/bash ]; then
  [ -n "$stopping" ] && exit 0
  exec /bin/bash "$0" "$@"
fi

run=${PGHERD_RUN:-/run/pgherd}
node=${PGHERD_NODE:-/pgherd/bin/node}
main=${PGHERD_MANAGER:-/pgherd/manager.mjs}
# Meant for the user's own programs, it could keep the manager from starting.
unset NODE_OPTIONS
# The manager lives beside a database that wants the memory.
options=${PGHERD_NODE_OPTIONS---max-semi-space-size=1 --optimize-for-size --v8-pool-size=1}
nurse='' deadline=none quick=0 rest=''

say() { printf '{"level":"%s","logger":"guard","msg":"%s"}\n' "$1" "$2"; }

# Hundredths of a second since the machine started, sleep of the machine included.
now() {
  read -r up idle </proc/uptime
  now=${up%.*}${up#*.}
}

# The nurse waits for the manager and says by a line of its own that it has ended: a shell that reads does not
# notice the end of a child before its read is over.
start() {
  manager='' deadline=none
  now
  started=$now
  {
    # shellcheck disable=SC2086
    "$node" $options "$main" 3<&- &
    echo "manager $!" >&3
    wait $!
    echo "ended $?" >&3
  } &
  nurse=$!
}

# What the manager left behind (PostgreSQL and its tools) must not live without it.
restart() {
  kill -9 -1 2>/dev/null
  wait "$nurse" 2>/dev/null
  [ -n "$stopping" ] && exit 0
  say "$1" "$2"
  # A manager that cannot start at all is tried less and less often.
  now
  if [ $((now - started)) -lt 500 ]; then quick=$((quick + 1)); else quick=0; fi
  [ $quick -gt 6 ] && quick=6
  [ $quick -gt 3 ] && sleep $((quick - 3))
  start
}

handle() {
  case $1 in
    none) deadline=none ;;
    deadline)
      case $2 in *[!0-9.]* | '' | *.*.* | .*) return ;; esac
      whole=${2%%.*}
      part=${2#"$whole"}
      part=${part#.}00
      while [ ${#part} -gt 2 ]; do part=${part%?}; done
      deadline=$whole$part
      ;;
    manager)
      manager=$2
      [ -n "$stopping" ] && kill -TERM "$manager" 2>/dev/null
      ;;
    # With 3 it says that it can do nothing here: the container ends, and the kubelet decides.
    # A line of a nurse that was killed meanwhile names the manager before this one: its own is the one that counts.
    ended)
      [ "$2" = 3 ] && stopping=1
      [ -n "$manager" ] && restart warn "the manager has ended with code $2; everything is killed"
      ;;
  esac
}

# Two pods may have the same volume for a while: one that was deleted by force still runs on this node when the next
# comes. Neither sees the other's processes, and two servers on one data directory would destroy it.
claim() {
  lock=${PGDATA%/*}/pgherd/lock told=''
  [ -n "$PGDATA" ] && command -v flock >/dev/null || return 0
  # On a volume that takes no more files there may be no lock yet: the manager sees to such a volume.
  mkdir -p -m 700 "${lock%/*}" && (: >>"$lock") && exec 9>>"$lock" || return 0
  until flock -n 9; do
    # Any other code says that there are no locks on this volume.
    [ $? = 1 ] || return 0
    [ -n "$told" ] || say warn 'another container still has this volume; its end is waited for'
    told=1
    sleep 0.2
    [ -n "$stopping" ] && exit 0
  done
}

stop() {
  stopping=1
  [ -n "$manager" ] && kill -TERM "$manager" 2>/dev/null
}

mkdir -p "$run"
rm -f "$run/beats"
mkfifo -m 600 "$run/beats" || exit 1
# Opened for both, so that it neither blocks without a writer nor ends with one.
exec 3<>"$run/beats"
[ -n "$stopping" ] && exit 0
claim
[ -n "$stopping" ] && exit 0
trap stop TERM INT

start
while :; do
  nap=1
  if [ "$deadline" != none ]; then
    now
    left=$((deadline - now))
    if [ $left -le 0 ]; then
      restart error 'the deadline has passed without a beat; everything is killed'
      continue
    fi
    # Without a process of its own: where no more can be made, the shell would try for half a minute.
    # shellcheck disable=SC3045
    [ $left -lt 100 ] && [ -n "$BASH_VERSION" ] && printf -v nap 0.%02d $left
  fi
  piece=''
  # A read whose time is up in the middle of a line has swallowed its beginning: that must not be lost, for beats
  # and naps keep step with each other, and one lost would be followed by the next.
  # shellcheck disable=SC3045
  if IFS= read -r -t $nap piece <&3; then
    line=$rest$piece rest=''
    # shellcheck disable=SC2086
    handle $line
  else
    rest=$rest$piece
  fi
  # busybox reaps only while it waits for something.
  [ -n "$BASH_VERSION" ] || (:)
  kill -0 "$nurse" 2>/dev/null || restart error 'the manager is lost; everything is killed'
done
