/** The kind Operation: an act on a cluster that somebody asks for and can follow. */
import type { Static } from 'typebox';
import { kindObject } from '../object.ts';
import { optional } from '../schema.ts';
import { OperationSpecSchema } from './spec.ts';
import { OperationStatusSchema } from './status.ts';

export const OperationSchema = kindObject(
  'An act on a cluster that is asked for once, can be followed step by step, and ends as Succeeded or Failed.',
  { spec: OperationSpecSchema, status: optional(OperationStatusSchema) },
  [],
);

export type Operation = Static<typeof OperationSchema>;

/** True when nothing more will happen to it. */
export function isFinished(operation: { status?: Operation['status'] }): boolean {
  const { phase } = operation.status ?? {};
  return phase === 'Succeeded' || phase === 'Failed';
}
