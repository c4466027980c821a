#!/bin/sh
# The floor of the bootstrap: three instances by hand, the standbys copied side by side.
# Arguments: folder of binaries, empty folder, first of three ports. Prints milliseconds per step.
set -eu
bin=$1 dir=$2 port=$3
now() { date +%s%3N; }
t0=$(now)
"$bin/initdb" --no-sync --data-checksums --auth=trust --username=postgres --encoding=UTF8 --locale=C -D "$dir/1" >/dev/null
t1=$(now)
cat >>"$dir/1/postgresql.conf" <<CONF
unix_socket_directories = '$dir'
shared_buffers = 128MB
wal_level = logical
max_wal_senders = 32
max_replication_slots = 32
CONF
"$bin/pg_ctl" -D "$dir/1" -l "$dir/1.log" -o "-p $port" -w start >/dev/null
t2=$(now)
for n in 2 3; do
  (
    "$bin/pg_basebackup" --no-sync --checkpoint=fast -R -h "$dir" -p "$port" -U postgres -D "$dir/$n"
    "$bin/pg_ctl" -D "$dir/$n" -l "$dir/$n.log" -o "-p $((port + n - 1))" -w start >/dev/null
  ) &
done
wait
while [ "$("$bin/psql" -XAtqc "select count(*) from pg_stat_replication where state = 'streaming'" -h "$dir" -p "$port" -U postgres)" != 2 ]; do
  sleep 0.01
done
t3=$(now)
for n in 3 2 1; do "$bin/pg_ctl" -D "$dir/$n" -m immediate stop >/dev/null & done
wait
echo "{\"initdb\":$((t1 - t0)),\"start\":$((t2 - t1)),\"standbys\":$((t3 - t2)),\"total\":$((t3 - t0))}"
