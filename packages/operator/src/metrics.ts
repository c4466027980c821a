import type { ClusterPhase } from '@pgherd/api';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface OperatorMetrics {
  reconciled(seconds: number): void;
  failed(): void;
  phase(cluster: string, phase: ClusterPhase | undefined): void;
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
  new Gauge({
    name: 'pgherd_operator_api_requests',
    help: 'Requests sent to the Kubernetes API since the start; a watch counts once.',
    registers,
    collect() {
      this.set(requests());
    },
  });
  const known = new Map<string, string>();
  const labels = (cluster: string, phase: string) => {
    const [namespace = '', name = ''] = cluster.split('/');
    return { namespace, cluster: name, phase };
  };
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
    gone: forget,
  };
}
