/** What the guard is told: until when it need not kill (ELECTION 2). */
import type { Context } from './context.ts';

/**
 * While PostgreSQL here may be a primary, the guard's deadline is guardMs after the last renewal. Once leadership is
 * lost the last deadline stands until death is certain; it is never extended, and never lifted before.
 */
export function beat({ s, actions }: Context): void {
  if (s.primaryMaybe) {
    if (!s.held || !s.settings || s.beat === s.held.t0.mono) return;
    s.beat = s.held.t0.mono;
    actions.unshift({ type: 'beat', deadline: { since: s.held.t0, afterMs: s.settings.guardMs } });
    return;
  }
  if (s.beat === null) return;
  s.beat = null;
  actions.unshift({ type: 'beat', deadline: null });
}
