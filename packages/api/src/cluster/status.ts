/** `status` of a Cluster: written by the operator alone. */
import type { Static } from 'typebox';
import type { InstanceState } from '../instance-report.ts';
import { bool, integer, list, map, object, openWord, optional, text } from '../schema.ts';

/** What a cluster is doing. Code compares these words; people read `phaseReason`. */
export type ClusterPhase =
  | 'Creating'
  | 'Initializing'
  | 'WaitingForReplicas'
  | 'Ready'
  | 'Degraded'
  | 'WaitingForSync'
  | 'Switchover'
  | 'Failover'
  | 'ScalingUp'
  | 'ScalingDown'
  | 'Upgrading'
  | 'Restoring'
  | 'Maintenance'
  | 'Hibernating'
  | 'Hibernated'
  | 'Waking'
  | 'Failed'
  | 'Deleting';

/**
 * How far a recovery is. In place: stopping (the old instances end), restoring, rebuilding (the replicas), cleaning
 * (the old volumes go), done; or back: returning, returned.
 */
export type RestorationStage =
  | 'stopping'
  | 'restoring'
  | 'rebuilding'
  | 'cleaning'
  | 'done'
  | 'returning'
  | 'returned';

export type ConditionStatus = 'True' | 'False' | 'Unknown';

const time = (description: string) => text(description, { format: 'date-time' });
const nameList = (description: string) => list(description, text('Name of an instance or volume claim.'));

const condition = object('One aspect of the state.', {
  type: text('Name of the aspect, for example Ready.'),
  status: openWord<ConditionStatus>('True, False or Unknown.'),
  reason: optional(text('Why, in one word.')),
  message: optional(text('Why, for people.')),
  lastTransitionTime: optional(time('When the status last changed.')),
  observedGeneration: optional(integer('Generation of the spec this was said about.', { format: 'int64' })),
});

const reportedState = object('What an instance last said of itself.', {
  isPrimary: bool('Whether it is the primary.'),
  timeLineID: optional(integer('Its timeline.', { format: 'int64' })),
  ip: optional(text('Address of its pod.')),
  state: optional(openWord<InstanceState>('What it is doing, for example running.')),
  waitingFor: optional(text('What it waits for, if anything.')),
});

const restoration = object('A recovery that is under way: of a new cluster, or in place.', {
  id: text('Which one: the UID of its Operation, or bootstrap.'),
  stage: openWord<RestorationStage>('How far it is.'),
  instance: text('The instance that restores.'),
  source: optional(text('What is restored and how far, as JSON, for that instance.')),
  old: optional(
    nameList('Instances from before. Their volumes are kept until the restored primary answers.'),
  ),
  record: optional(text('What the Lease said before, as JSON: for the way back.')),
  keepOldVolumes: optional(bool('Whether the old volumes are kept afterwards.')),
  message: optional(text('What it waits for, or why it went back.')),
});

const recovered = object('Where a recovery really ended.', {
  operation: optional(text('The Operation that asked for it.')),
  backup: text('Label of the backup it began with; for a live copy, the name of the instance.'),
  target: optional(text('Where it was to end.')),
  time: optional(time('Time of the last transaction that is there.')),
  lsn: optional(text('LSN of the last WAL that was replayed.')),
  xid: optional(text('The last transaction that is there.')),
  stopped: optional(text("Why replay ended there, in PostgreSQL's words.")),
  timeline: integer('The new timeline.', { format: 'int64' }),
  finishedAt: time('When it ended.'),
});

export const ClusterStatusSchema = object('What was found; written by the operator.', {
  phase: optional(openWord<ClusterPhase>('What the cluster is doing, in one word; Ready when all is well.')),
  phaseReason: optional(text('Why it is in this phase: names the instance and the cause.')),
  conditions: optional(
    list('Aspects of the state, for kubectl wait.', condition, {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    }),
  ),
  currentPrimary: optional(text('The instance that is primary.')),
  currentPrimaryTimestamp: optional(time('When it became primary.')),
  targetPrimary: optional(text('The instance that is to be primary.')),
  targetPrimaryTimestamp: optional(time('When that was decided.')),
  timelineID: optional(
    integer('Timeline of the primary; it rises with each promotion.', { format: 'int64' }),
  ),
  leaseEpoch: optional(
    integer('Highest epoch of leadership seen; a Lease below it is not believed.', { format: 'int64' }),
  ),
  systemID: optional(text("PostgreSQL's system identifier, fixed when the database is initialised.")),
  image: optional(text('Image the instances run.')),
  instances: optional(integer('Number of instances that exist.', { format: 'int32' })),
  readyInstances: optional(integer('Number of instances that are ready.', { format: 'int32' })),
  instanceNames: optional(nameList('Instances that exist.')),
  instancesStatus: optional(
    object('Instances by how they are.', {
      healthy: optional(nameList('Running and, if a replica, streaming.')),
      replicating: optional(nameList('Being copied, starting or catching up.')),
      failed: optional(nameList('Not working.')),
    }),
  ),
  instancesReportedState: optional(map('What each instance last said of itself.', reportedState)),
  latestGeneratedNode: optional(
    integer('Highest number ever given to an instance; numbers are not used again.', { format: 'int32' }),
  ),
  pvcCount: optional(integer('Number of volume claims.', { format: 'int32' })),
  healthyPVC: optional(nameList('Volume claims in use.')),
  danglingPVC: optional(nameList('Volume claims without an instance.')),
  initializingPVC: optional(nameList('Volume claims being filled.')),
  resizingPVC: optional(nameList('Volume claims being resized.')),
  unusablePVC: optional(nameList('Volume claims that cannot be used.')),
  readService: optional(text('Service of all instances.')),
  writeService: optional(text('Service of the primary.')),
  certificates: optional(
    object('Certificates of the cluster.', {
      expirations: optional(map('When each expires, by the name of its secret.', text('Time of expiry.'))),
    }),
  ),
  backup: optional(
    object('Backups and the WAL archive.', {
      stanza: optional(text("pgBackRest's name for all backups of this database.")),
      repositories: optional(
        list(
          'The repositories, with the numbers by which pgBackRest knows them.',
          object('A repository.', {
            name: text('Its name.'),
            number: integer('Its number: it stays the same as long as the repository is there.', {
              format: 'int32',
            }),
            ready: optional(bool('Whether WAL and backups can go there.')),
            message: optional(text('Why not.')),
            since: optional(
              time(
                'When it was added to a cluster that ran already: WAL from before may be missing in it, so that a backup from before proves nothing.',
              ),
            ),
            backups: optional(integer('Number of backups in it.', { format: 'int32' })),
            firstRecoverabilityPoint: optional(
              time('The earliest time that can be restored from it: the end of its oldest backup.'),
            ),
            lastBackup: optional(text('Label of its newest backup.')),
          }),
        ),
      ),
      lastArchivedWAL: optional(text('Last WAL file that was archived.')),
      lastArchivedTime: optional(time('When it was.')),
      lastFailedWAL: optional(text('WAL file that could not be archived, if that is so now.')),
      waitingSegments: optional(integer('WAL files that wait for being archived.', { format: 'int32' })),
    }),
  ),
  firstRecoverabilityPoint: optional(time('The earliest time that can be restored, from any repository.')),
  lastRecoverabilityPoint: optional(
    time('The latest time that can be restored: all that was committed until then is archived.'),
  ),
  lastSuccessfulBackup: optional(time('When the last backup was completed.')),
  lastFailedBackup: optional(time('When a backup failed the last time.')),
  restoration: optional(restoration),
  recovered: optional(recovered),
  observedGeneration: optional(integer('Generation of the spec this status is about.', { format: 'int64' })),
  selector: optional(text('Label selector of the instances, for the scale subresource.')),
});

export type ClusterStatus = Static<typeof ClusterStatusSchema>;
export type ClusterCondition = Static<typeof condition>;
export type InstanceReportedState = Static<typeof reportedState>;
export type ClusterRestoration = Static<typeof restoration>;
export type ClusterRecovered = Static<typeof recovered>;
