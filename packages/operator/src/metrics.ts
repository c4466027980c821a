import type { ClusterPhase } from '@pgherd/api';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface OperatorMetrics {
  reconciled(seconds: number): void;
  failed(): void;
  phase(cluster: string, phase: ClusterPhase | undefined): void;
  /** The last proof of one of its backups. */
  verified(cluster: string, good: boolean): void;
  gone(cluster: string): void;
  /** The text a scraper reads. */
  text(): Promise<string>;
  contentType: string;
}

/** Metrics of the operator; `requests` tells how many requests went to the API so far. */
export function createMetrics(requests: () => number): OperatorMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const seconds = new Histogram({
    name: 'pgherd_operator_reconcile_seconds',
    help: 'Time one look at a cluster takes.',
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
    registers,
  });
  const failures = new Counter({
    name: 'pgherd_operator_reconcile_failures_total',
    help: 'Looks at a cluster that failed.',
    registers,
  });
  const phases = new Gauge({
    name: 'pgherd_cluster_phase',
    help: 'Phase of each cluster: 1 for the one it is in.',
    labelNames: ['namespace', 'cluster', 'phase'],
    registers,
  });
  const proofs = new Gauge({
    name: 'pgherd_cluster_backup_verified',
    help: 'Whether the last backup that was verified is good: 1 or 0.',
    labelNames: ['namespace', 'cluster'],
    registers,
  });
  new Gauge({
    name: 'pgherd_operator_api_requests',
    help: 'Requests sent to the Kubernetes API since the start; a watch counts once.',
    registers,
    collect() {
      this.set(requests());
    },
  });
  const known = new Map<string, string>();
  const place = (cluster: string) => {
    const [namespace = '', name = ''] = cluster.split('/');
    return { namespace, cluster: name };
  };
  const labels = (cluster: string, phase: string) => ({ ...place(cluster), phase });
  const forget = (cluster: string) => {
    const phase = known.get(cluster);
    if (phase) phases.remove(labels(cluster, phase));
    known.delete(cluster);
  };
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    reconciled: (value) => seconds.observe(value),
    failed: () => failures.inc(),
    phase(cluster, phase) {
      if (!phase || known.get(cluster) === phase) return;
      forget(cluster);
      known.set(cluster, phase);
      phases.set(labels(cluster, phase), 1);
    },
    verified: (cluster, good) => proofs.set(place(cluster), good ? 1 : 0),
    gone(cluster) {
      forget(cluster);
      proofs.remove(place(cluster));
    },
  };
}
