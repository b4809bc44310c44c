import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { spanOf } from '#proto/contract/time-text.ts';
import { durationOf } from '#proto/document/quantities.ts';
import { endLinkPause, LinkPause, MAX_PAUSE_MS, MIN_PAUSE_MS, setLinkPause } from '#proto/sync/pause.ts';
import { type DirectMethod, method } from './method.ts';

const FOR = 'a duration from PT1S to P366D, such as PT2H or 2h';

const Pause = Type.Object(
  {
    reason: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: LinkPause.properties.reason.maxLength as number,
        description: 'a text of at most 400 characters',
      }),
    ),
    for: Type.Optional(Type.String({ maxLength: 40, description: FOR })),
  },
  { additionalProperties: false },
);
const Resume = Type.Object({}, { additionalProperties: false });

/** Pauses the link to the parent, until `resume` or for a time. Answers with the pause. */
export function pauseMethod(bus: BusCaller, log: Log): DirectMethod {
  return method(Pause, log, async ({ reason, for: text }, signal) => {
    const query = { ...(reason && { reason }), ...(text !== undefined && { forMs: forOf(text) }) };
    const { paused } = await bus.call(setLinkPause, query, { signal });
    return { status: 200, payload: { paused: shownPause(paused) } };
  });
}

/** Ends the pause. Answers with the pause that was in force, if any. */
export function resumeMethod(bus: BusCaller, log: Log): DirectMethod {
  return method(Resume, log, async (_, signal) => {
    const { ended } = await bus.call(endLinkPause, {}, { signal });
    return {
      status: 200,
      payload: { wasPaused: ended !== undefined, ...(ended && { was: shownPause(ended) }) },
    };
  });
}

/** With times as text, as everywhere in a twin. */
export const shownPause = ({ since, until, ...rest }: LinkPause) => ({
  since: new Date(since).toISOString(),
  ...(until !== undefined && { until: new Date(until).toISOString() }),
  ...rest,
});

/** @throws Fault `malformed` */
function forOf(text: string): number {
  const ms = spanOf(text) ?? durationOf(text);
  if (ms !== undefined && ms >= MIN_PAUSE_MS && ms <= MAX_PAUSE_MS) return ms;
  throw new Fault('malformed', `for is not valid: write ${FOR}`);
}
