/** What the guard is told: until when it need not kill (ELECTION 2). */
import type { Context } from './context.ts';
import { heldSince } from './state.ts';

/**
 * While PostgreSQL here may be a primary, the guard's deadline is guardMs after the last renewal, or the last grants. Once leadership is
 * lost the last deadline stands until death is certain; it is never extended, and never lifted before.
 */
export function beat({ s, actions }: Context): void {
  if (s.primaryMaybe) {
    if (!s.held || !s.settings) return;
    const since = heldSince(s.held);
    if (s.beat === since.mono) return;
    s.beat = since.mono;
    actions.unshift({ type: 'beat', deadline: { since, afterMs: s.settings.guardMs } });
    return;
  }
  if (s.beat === null) return;
  s.beat = null;
  actions.unshift({ type: 'beat', deadline: null });
}
