#!/bin/sh
# restore_command of a replica: fetches a WAL file (name and path come as arguments) out of the archive, if the
# manager says that it is needed. As long as WAL streams, asking the archive would only delay a promotion.
data=$(pwd -P)
cd / || exit 1
folder=${PGHERD_RUN:-/run/pgherd}/pgbackrest
[ -e "$folder/fetch" ] || exit 1
read -r stanza <"$folder/stanza" || exit 1
exec pgbackrest --config="$folder/pgbackrest.conf" --stanza="$stanza" archive-get "$1" "$data/$2"
