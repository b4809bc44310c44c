import { type Static, Type } from '../contract/schema.ts';
import { matches } from '../contract/schema-check.ts';

/**
 * Conventions between the service processes of a layer and their supervisors.
 *
 * A running process answers health checks (health.ts) and reports to its supervisor that its event loop turns. A
 * process whose loop is stuck (stuck-loop.ts, cpu-time.ts) is killed. A process that ends is started again, unless it
 * exits with `EXIT_UNUSABLE`; `Unrecoverable` then carries the cause. A process that is asked to stop has `stopMsOf` to
 * end in good order. process-stat.ts says whether a process is alive; environment.ts lists the environment variables.
 */

/**
 * Message of a service to its supervisor, over the channel between them, before it exits with `EXIT_UNUSABLE`: a
 * restart does not help until an operator has repaired something.
 */
export const Unrecoverable = Type.Object({
  unrecoverable: Type.Object({ code: Type.String(), message: Type.String() }),
});
export type Unrecoverable = Static<typeof Unrecoverable>;

/**
 * EX_DATAERR of sysexits.h. For supervisors without a channel, such as the restart policy of a container or a service
 * manager.
 */
export const EXIT_UNUSABLE = 65;

export const isUnrecoverable = (message: unknown): message is Unrecoverable =>
  matches(Unrecoverable, message);

const STOP_MS = 4_000;

/** Max time for a process to end in good order before it is killed, in ms: `TERRACE_STOP_MS`, if that is set. */
export const stopMsOf = (env: NodeJS.ProcessEnv): number => Number(env.TERRACE_STOP_MS) || STOP_MS;
