/** What a plan may ask for. Plain data, so that tables can compare it. */
import type { LeaseRecord } from '@pgherd/api';
import type { Kind, KubeObject, PersistentVolumeClaim, Pod } from '@pgherd/kube';
import type { LeafName } from './certificates.ts';
import type { RestorationPlan } from './plan-restoration.ts';

export type Action =
  /** Create or bring up to date; in any order with others. */
  | { do: 'ensure'; kind: Kind; object: KubeObject; current?: KubeObject }
  /** Create unless it is there already; never change. */
  | { do: 'create'; kind: Kind; object: KubeObject }
  /** Volumes and pod of one instance. */
  | { do: 'createInstance'; name: string; serial: number; claims: PersistentVolumeClaim[]; pod: Pod }
  | { do: 'patch'; kind: Kind; name: string; body: object; why: string }
  | { do: 'delete'; kind: Kind; name: string; uid: string; why: string }
  /**
   * Make certificates: the authority new, renewed with its own key, or as it is; then these leaves. Of others only the
   * list of authorities is brought up to date: with those before (trust), or without them (forget).
   */
  | {
      do: 'certificates';
      authority: 'keep' | 'new' | 'renew';
      leaves: LeafName[];
      trust?: LeafName[];
      forget?: LeafName[];
    }
  /** Change the Lease from just this version on. */
  | { do: 'lease'; record: LeaseRecord; version: string; why: string }
  /** Make or complete a secret with a login. */
  | { do: 'login'; which: 'app' | 'superuser' };

/** What the instances of the cluster are being brought to, for status and for the next look. */
export type Intent =
  | { what: 'steady' }
  | { what: 'deleting' }
  | { what: 'refused' }
  | { what: 'maintenance' }
  | { what: 'hibernating'; instances: string[] }
  | { what: 'hibernated' }
  | { what: 'waking'; instance: string; deadline?: string }
  | { what: 'restoring' }
  | { what: 'creating'; instances: string[] }
  | { what: 'scalingUp'; instances: string[] }
  | { what: 'scalingDown'; instance: string; waitsFor?: Wait }
  | { what: 'rolling'; instances: string[]; waitsFor?: Wait };

export interface Wait {
  what: string;
  /** RFC 3339. */
  deadline?: string;
}

export interface Plan {
  actions: Action[];
  intent: Intent;
  /** What becomes of a recovery of the whole cluster. */
  restoration?: RestorationPlan;
}
