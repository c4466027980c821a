import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { levelOf, podSecurityViolations } from './pod-security.ts';
import type { Obj } from './types.ts';

const container = {
  name: 'c',
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
};
const good: Obj = {
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [container],
  volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'x' } }],
};

const CASES: [what: string, change: Obj, baseline: RegExp | undefined, restricted: RegExp | undefined][] = [
  ['nothing', {}, undefined, undefined],
  ['the host network', { hostNetwork: true }, /host namespaces/, /host namespaces/],
  ['no seccomp profile', { securityContext: { runAsNonRoot: true } }, undefined, /seccompProfile/],
  ['root', { securityContext: { ...(good.securityContext as Obj), runAsUser: 0 } }, undefined, /runAsUser=0/],
  [
    'a host path',
    { volumes: [{ name: 'h', hostPath: { path: '/' } }] },
    /hostPath/,
    /restricted volume types/,
  ],
  [
    'a privileged init container',
    { initContainers: [{ name: 'i', securityContext: { privileged: true } }] },
    /privileged \(container "i"/,
    /unrestricted capabilities \(container "i"/,
  ],
  [
    'a capability',
    {
      containers: [
        {
          ...container,
          securityContext: {
            ...container.securityContext,
            capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] },
          },
        },
      ],
    },
    /non-default capabilities/,
    /unrestricted capabilities/,
  ],
  ['a host port', { containers: [{ ...container, ports: [{ hostPort: 80 }] }] }, /hostPort/, /hostPort/],
];

describe('Pod Security', () => {
  for (const [what, change, baseline, restricted] of CASES)
    it(`judges ${what}`, () => {
      const spec = { ...good, ...change };
      assert.deepEqual(podSecurityViolations(spec, 'privileged'), []);
      for (const [level, expected] of [
        ['baseline', baseline],
        ['restricted', restricted],
      ] as const) {
        const found = podSecurityViolations(spec, level).join('; ');
        if (expected) assert.match(found, expected);
        else assert.equal(found, '');
      }
    });

  it('reads the level from the label', () => {
    assert.equal(levelOf(undefined), 'privileged');
    assert.equal(levelOf({ 'pod-security.kubernetes.io/enforce': 'restricted' }), 'restricted');
  });
});
