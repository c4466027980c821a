import { userInfo } from 'node:os';
import { type EffectiveSpec, REPLICATION_USER } from '@pgherd/api';

/** Map in pg_ident.conf that lets the system user of the container in as superuser. */
const LOCAL_MAP = 'pgherd_local';

/** Name of the system user we run as; undefined when the image has no entry for our UID. */
export function systemUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}

/**
 * pg_hba.conf. The first line that fits decides, so ours come first: the manager over the local socket, the
 * replicas by certificate and by nothing else. Then the user's; then passwords over TLS. There is no line
 * that admits a connection over the network without TLS, unless the user writes one.
 */
export function renderHba(eff: Pick<EffectiveSpec, 'postgresql'>, localUser: string | undefined): string {
  // Without a name for our UID, peer cannot work; the socket lies in a folder that only we may enter.
  const local = localUser === undefined ? 'trust' : `peer map=${LOCAL_MAP}`;
  return [
    '# Written by pgherd; changes made here are lost.',
    `local   all          postgres              ${local}`,
    `hostssl postgres     ${REPLICATION_USER} all cert`,
    `hostssl replication  ${REPLICATION_USER} all cert`,
    `host    all          ${REPLICATION_USER} all reject`,
    '# The spec:',
    ...eff.postgresql.pgHba.map(oneLine),
    '# The default:',
    'hostssl all          all               all scram-sha-256',
    'local   all          all                   scram-sha-256',
    '',
  ].join('\n');
}

/** pg_hba.conf while the cluster is made: nobody but the manager. */
export function renderLocalHba(localUser: string | undefined): string {
  return `local all postgres ${localUser === undefined ? 'trust' : `peer map=${LOCAL_MAP}`}\n`;
}

/** pg_ident.conf: our own map, then the user's lines. */
export function renderIdent(eff: Pick<EffectiveSpec, 'postgresql'>, localUser: string | undefined): string {
  return [
    '# Written by pgherd; changes made here are lost.',
    ...(localUser === undefined ? [] : [`${LOCAL_MAP} "${localUser}" postgres`]),
    ...eff.postgresql.pgIdent.map(oneLine),
    '',
  ].join('\n');
}

function oneLine(line: string): string {
  return line.replace(/[\r\n]+/g, ' ').trim();
}
