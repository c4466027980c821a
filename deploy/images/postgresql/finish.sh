#!/bin/sh
# Runs in the root of the image after everything is installed: compiles the locales, then takes out what only
# the installation needed. What is left starts as uid 26 on a read-only root.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true

# As folders: the archive of all locales goes with the package that made it.
for locale in ${LOCALES:-en_US.UTF-8}; do
  localedef --no-archive -c -i "${locale%%.*}" -f "${locale##*.}" "/usr/lib/locale/${locale%%.*}.utf8"
done

# Perl and Debian's wrappers (psql among them), the tools that manage users and packages, LLVM, and what is
# compiled or generated once. dpkg itself goes last, by hand; its record stays, scanners read it.
purge() {
  dpkg --purge --force-depends --force-remove-essential "$@" >/dev/null 2>/tmp/purge.log ||
    { cat /tmp/purge.log >&2; exit 1; }
}
present=$(dpkg-query -W -f '${Package}\n')
unneeded='
  libllvm14 libz3-4
  postgresql-common postgresql-client-common ssl-cert ucf sensible-utils
  perl libjson-perl perl-modules-5.36 libperl5.36 libgdbm-compat4 libgdbm6
  locales libc-l10n adduser openssl
  lsb-base sysvinit-utils init-system-helpers
  passwd login
  apt gpgv debian-archive-keyring
  libapt-pkg6.0 libseccomp2 libxxhash0
  debconf perl-base
'
for package in $unneeded; do
  if echo "$present" | grep -qx "$package"; then purge "$package"; fi
done
for file in $(grep -h -E '^/(usr/)?s?bin/' /var/lib/dpkg/info/dpkg.list); do
  rm -f "$file"
done
rm -f /sbin/start-stop-daemon* /var/lib/shells.state
rm -rf /etc/dpkg /var/lib/dpkg/info /var/lib/dpkg/triggers /var/lib/dpkg/alternatives /var/lib/dpkg/*-old /usr/share/dpkg
rm -rf /var/lib/apt /var/cache/apt /etc/apt /var/cache/debconf /var/cache/ldconfig /var/lib/ucf /usr/share/perl* \
  /usr/lib/*/perl* /usr/local/share/perl /etc/perl /etc/postgresql-common /etc/systemd /etc/init.d /etc/rc?.d \
  /etc/cron* /etc/logrotate.d /lib/systemd /usr/lib/systemd /usr/lib/tmpfiles.d /usr/lib/sysusers.d \
  /usr/share/postgresql-common /usr/share/bug /usr/share/debconf /usr/share/i18n /usr/share/zoneinfo/right \
  /usr/lib/*/gconv/EBCDIC* /usr/lib/*/gconv/IBM*
# What excluded-paths.txt keeps out, where the base of a Dockerfile has brought it in.
rm -rf /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian /usr/share/doc-base
find /usr/share/doc -type f ! -name copyright -delete

sed -i 's/^postgres:[^:]*:/postgres:*:/' /etc/shadow
# The group that might read Debian's self-made key, which goes too.
sed -i '/^ssl-cert:/d' /etc/group /etc/gshadow

# No key, no history, no log, no home of root's, no file that gives rights.
home=$(getent passwd 0 | cut -d: -f6)
rm -rf "$home"/.??* /etc/ssl/private /etc/skel /var/lib/postgresql/.??* /var/log/* /tmp/*
rm -rf /run/* 2>/dev/null || true
rm -f /etc/machine-id /var/lib/dbus/machine-id /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
# Of the machine that builds; under Docker they are mounts, and not part of the image.
rm -f /etc/hostname /etc/resolv.conf 2>/dev/null || true
find / -xdev -type f -perm /6000 -exec chmod u-s,g-s {} +

# Debian keeps these off everybody's PATH, for its wrapper.
for program in /usr/lib/postgresql/*/bin/*; do
  ln -sf "$program" "/usr/bin/${program##*/}"
done

# Where volumes and the folder of pgherd are mounted: on a read-only root they must be there.
mkdir -p /pgherd /run/pgherd /run/postgresql /var/lib/postgresql/data /var/lib/postgresql/wal /var/log/postgresql \
  /var/log/pgbackrest /var/lib/pgbackrest /var/spool/pgbackrest
chown -R 26:26 /run/pgherd /run/postgresql /var/lib/postgresql /var/log/postgresql /var/log/pgbackrest \
  /var/lib/pgbackrest /var/spool/pgbackrest
chmod 0700 /var/lib/postgresql/data /var/lib/postgresql/wal
# History goes nowhere, whatever a shell is asked to keep.
ln -sf /dev/null /var/lib/postgresql/.bash_history
ln -sf /dev/null /var/lib/postgresql/.psql_history
