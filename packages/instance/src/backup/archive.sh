#!/bin/sh
# archive_command: hands a WAL file (the argument is its path from PGDATA, where this starts) to pgBackRest, on the leader alone.
#
# It also runs on replicas (archive_mode is "always"), where it only waits until the leader says that the file is in
# the archive: so a replica keeps what is not, and archives it once it leads.
#
# Codes above 125 end the archiver, which PostgreSQL starts again later; up to there it tries the file again.

path=$(pwd -P)/$1
# Not in PGDATA: what works there is taken for PostgreSQL itself when that has to die.
cd / || exit 1
run=${PGHERD_RUN:-/run/pgherd}
folder=$run/pgbackrest
file=${1##*/}

# True while the guard would let a primary live here. Hundredths of a second since the machine started.
leads() {
  read -r deadline <"$run/leading" || return 1
  read -r up idle </proc/uptime
  [ "${up%.*}${up#*.}" -lt "${deadline%.*}${deadline#*.}" ]
} 2>/dev/null

# True when the leader says that it has archived this file, or a later one: they go in order.
archived() {
  read -r last <"$folder/archived" || return 1
  case $file in
    # The history of a timeline goes before all WAL of it.
    *.history) [ ! "${file%%.*}" \> "${last%????????????????}" ] ;;
    *) [ ! "$file" \> "$last" ] ;;
  esac
} 2>/dev/null

# Histories without content only keep numbers of timelines from being given again; the archive may have the real one.
case $file in *.history) [ -s "$path" ] || exit 0 ;; esac

# PostgreSQL stops: whoever leads next has the file too, or we do when we start again.
[ -e "$folder/stopping" ] && exit 200
echo $$ >"$folder/archiving" || exit 1

# Reads the stanza to be archived to.
is_set_up() { read -r stanza <"$folder/stanza"; } 2>/dev/null

tries=0
# It also waits for pgBackRest to be set up: after three failures PostgreSQL would rest for a minute.
until leads && is_set_up; do
  archived && exit 0
  tries=$((tries + 1))
  if [ $tries -gt 45 ]; then
    is_set_up || echo 'pgBackRest is not set up yet' >"$folder/push"
    exit 1
  fi
  sleep 1
done

# What were archived now would be missing for good in a repository that cannot be set up yet.
if [ -e "$folder/incomplete" ]; then
  cp "$folder/incomplete" "$folder/push"
  cat "$folder/push" >&2
  exit 1
fi
# A repository keeps WAL waiting, which the manager takes ahead to the others. Each of these takes one push at a time:
# theirs comes first, and then this file alone, not all that waits.
alone=
if [ -e "$folder/held-up" ]; then
  alone=--no-archive-async
  tries=0
  while read -r state <"$folder/held-up" && [ "$state" = pushing ] && [ $tries -lt 60 ]; do
    tries=$((tries + 1))
    sleep 1
  done 2>/dev/null
fi
pgbackrest --config="$folder/pgbackrest.conf" --stanza="$stanza" $alone archive-push "$path" 2>"$folder/push.new"
code=$?
mv "$folder/push.new" "$folder/push"
[ $code = 0 ] && exit 0
cat "$folder/push" >&2
[ $code -gt 125 ] && code=125
exit $code
