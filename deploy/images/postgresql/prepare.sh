#!/bin/sh
# Runs in the root of the image before PostgreSQL is installed into it.
set -eu

# Debian would take the next free numbers; pods run as these.
# Debian's base has a group `tape` there, for tape drives.
sed -i '/^tape:/d' /etc/group
if [ -e /etc/gshadow ]; then sed -i '/^tape:/d' /etc/gshadow; fi
echo 'postgres:x:26:26:PostgreSQL administrator:/var/lib/postgresql:/bin/bash' >>/etc/passwd
echo 'postgres:x:26:' >>/etc/group

# No database of Debian's own: the data lies on a volume.
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/pgherd.conf
