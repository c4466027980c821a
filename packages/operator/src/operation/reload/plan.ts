/** A reload is asked for by a mark on the Cluster; each instance says in its report when it has done it. Pure. */
import { ANNOTATION_RELOAD } from '@pgherd/api';
import { ClusterKind } from '../../cluster/kind.ts';
import { instanceTrouble } from '../../cluster/status/trouble.ts';
import type { BaseFacts, Outcome } from '../handler.ts';

export const STEPS = ['ask the instances', 'instances reload'] as const;
const [ASK, RELOAD] = STEPS;

export function planReload({ cluster, operation }: BaseFacts): Outcome {
  const { uid, name } = operation.metadata;
  const { annotations = {} } = cluster.cluster.metadata;
  if (annotations[ANNOTATION_RELOAD] !== uid)
    return {
      next: 'step',
      step: ASK,
      message: 'the instances are asked',
      actions: [
        {
          do: 'patch',
          kind: ClusterKind,
          name: cluster.cluster.metadata.name,
          body: { metadata: { annotations: { [ANNOTATION_RELOAD]: uid } } },
          why: `operation ${name}`,
        },
      ],
    };
  const refused = cluster.instances.find(({ report }) => report?.reload?.id === uid && report.reload.why);
  if (refused)
    return {
      next: 'fail',
      reason: 'SettingsRefused',
      message: `${refused.name}: ${refused.report?.reload?.why}`,
    };
  const open = cluster.instances.filter(({ report }) => report?.reload?.id !== uid);
  if (open.length > 0) {
    const why = open.map(
      (instance) => `${instance.name}: ${instanceTrouble(cluster, instance) ?? 'not yet'}`,
    );
    return { next: 'step', step: RELOAD, message: `waits for ${why.join('; ')}` };
  }
  const restart = cluster.instances.filter(({ report }) => report?.pendingRestart).map((each) => each.name);
  const more = restart.length > 0 ? `; a changed setting needs a restart of ${restart.join(', ')}` : '';
  return { next: 'succeed', message: `${cluster.instances.length} instances have reloaded${more}` };
}
