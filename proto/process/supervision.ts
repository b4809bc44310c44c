import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

/**
 * What a service tells whoever started it, over the channel between them, before it ends with `EXIT_UNUSABLE`: that
 * starting it again does not help before somebody has mended something.
 */
export const Hopeless = Type.Object({
  hopeless: Type.Object({ code: Type.String(), message: Type.String() }),
});
export type Hopeless = Static<typeof Hopeless>;

/** EX_DATAERR of sysexits.h; for what has no channel, such as the restart policy of a container or a service manager. */
export const EXIT_UNUSABLE = 65;

export const isHopeless = (message: unknown): message is Hopeless => Value.Check(Hopeless, message);

const STOP_MS = 4_000;

/** How long a process may take to end in good order before it is ended, in ms: `TERRACE_STOP_MS`, where that is set. */
export const stopMsOf = (env: NodeJS.ProcessEnv): number => Number(env.TERRACE_STOP_MS) || STOP_MS;
