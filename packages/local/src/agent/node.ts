import { cpus, release, totalmem } from 'node:os';
import { arch } from 'node:process';
import {
  type Client,
  type Condition,
  isKubeError,
  kinds,
  type Lease,
  type Log,
  microTime,
  type Node,
  time,
} from '@pgherd/kube';
import { linkAddresses, podCidr } from '../net/addresses.ts';
import type { NodeConfig } from '../state.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
const RENEW_MS = 10_000;
const LEASE_S = 40;
const RETRY_MS = 200;
const MAX_PODS = '110';

/** Registers a node and keeps its Lease; everything again when the API forgot it. Never throws. */
export class NodeRegistration {
  private readonly client: Client;
  private readonly config: NodeConfig;
  private readonly log: Log;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private uid: string | undefined;

  constructor(client: Client, config: NodeConfig, log: Log) {
    this.client = client;
    this.config = config;
    this.log = log;
  }

  /** Resolves when the node is registered and ready for the first time. */
  async start(): Promise<void> {
    for (;;) {
      try {
        await this.register();
        await this.renew();
        break;
      } catch (error) {
        this.log.debug({ error: String(error) }, 'registering the node');
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        if (this.stopped) return;
      }
    }
    this.later(RENEW_MS);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private later(ms: number): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.renew()
        .then(() => this.later(RENEW_MS))
        .catch((error) => {
          this.log.warn({ error: String(error) }, 'renewing the node lease');
          this.later(1000);
        });
    }, ms);
  }

  private async register(): Promise<void> {
    const wanted = nodeObject(this.config);
    let node = await this.client.find(kinds.Node, { name: this.config.name });
    node ??= await this.client.create(kinds.Node, wanted);
    this.uid = node.metadata.uid;
    await this.client.patch(
      kinds.Node,
      { name: this.config.name },
      {
        type: 'strategic',
        body: { metadata: { labels: wanted.metadata.labels }, spec: wanted.spec },
      },
    );
    await this.tellStatus(node);
  }

  private async tellStatus(node: Node): Promise<void> {
    const { status } = nodeObject(this.config);
    const conditions = status!.conditions!.map((condition) => {
      const before = node.status?.conditions?.find(({ type }) => type === condition.type);
      return before?.status === condition.status
        ? { ...condition, lastTransitionTime: before.lastTransitionTime }
        : condition;
    });
    await this.client.patch(
      kinds.Node,
      { name: this.config.name },
      {
        type: 'strategic',
        subresource: 'status',
        body: { status: { ...status, conditions } },
      },
    );
  }

  private async renew(): Promise<void> {
    const name = this.config.name;
    const found = await this.client.find(
      kinds.Lease,
      { namespace: LEASE_NAMESPACE, name },
      { timeoutMs: 5000 },
    );
    const spec: Lease['spec'] = {
      holderIdentity: name,
      leaseDurationSeconds: LEASE_S,
      renewTime: microTime(new Date()),
    };
    if (!found) {
      const owner = { apiVersion: 'v1', kind: 'Node', name, uid: this.uid! };
      await this.client.create(kinds.Lease, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace: LEASE_NAMESPACE, ownerReferences: [owner] },
        spec,
      });
      return;
    }
    await this.client.update(
      kinds.Lease,
      { ...found, spec: { ...found.spec, ...spec } },
      { timeoutMs: 5000 },
    );
    await this.checkStatus();
  }

  /** Somebody (the node controller, after a freeze) may have declared us lost: say that we live. */
  private async checkStatus(): Promise<void> {
    try {
      const node = await this.client.get(kinds.Node, { name: this.config.name }, { timeoutMs: 5000 });
      const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
      if (ready?.status !== 'True') await this.tellStatus(node);
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
      await this.register();
    }
  }
}

function nodeObject({ name, index, labels }: NodeConfig): Node {
  const now = time(new Date());
  const good = (type: string, status: string, reason: string, message: string): Condition => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  });
  const resources = {
    cpu: String(cpus().length),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    pods: MAX_PODS,
    'ephemeral-storage': '100Gi',
  };
  const architecture = arch === 'x64' ? 'amd64' : arch;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
        'topology.kubernetes.io/zone': `zone-${index}`,
        'topology.kubernetes.io/region': 'local',
        ...labels,
      },
    },
    spec: { podCIDR: podCidr(index), podCIDRs: [podCidr(index)] },
    status: {
      addresses: [
        { type: 'InternalIP', address: linkAddresses(index).node },
        { type: 'Hostname', address: name },
      ],
      capacity: resources,
      allocatable: resources,
      conditions: [
        good('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'not watched'),
        good('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'not watched'),
        good('PIDPressure', 'False', 'KubeletHasSufficientPID', 'not watched'),
        good('Ready', 'True', 'KubeletReady', 'the agent is posting ready status'),
      ],
      nodeInfo: {
        architecture,
        operatingSystem: 'linux',
        osImage: 'pgherd local mode',
        kernelVersion: release(),
        containerRuntimeVersion: 'pgherd://0.1.0',
        kubeletVersion: 'v1.33.0',
        kubeProxyVersion: '',
        bootID: '',
        machineID: '',
        systemUUID: '',
      },
    },
  } as Node;
}
