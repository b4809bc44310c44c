import { EXIT_UNUSABLE } from '#proto/process/supervision.ts';

/** The command line, a document or a manifest is not valid. */
export const EXIT_USAGE = 2;
/** No layer runs on the data folder (EX_UNAVAILABLE of sysexits.h). */
export const EXIT_NO_LAYER = 69;
/** A later try may succeed (EX_TEMPFAIL). */
export const EXIT_TRY_AGAIN = 75;
/** The user, or the account, lacks the right (EX_NOPERM). */
export const EXIT_NOT_PERMITTED = 77;
export const EXIT_INTERRUPTED = 130;

/** Exit codes of all commands. */
export const exitCodes: Record<number, string> = {
  0: 'Success.',
  1: 'Any other error; also: `sync` left work undone, `scrub` found damage, `doctor` found a fault, `health` found a service that is not healthy.',
  [EXIT_USAGE]: 'The command line or a configuration is not valid; nothing was started.',
  [EXIT_UNUSABLE]:
    "A program of the layer can't start until an operator has fixed the cause: a restart does not help.",
  [EXIT_NO_LAYER]: 'No layer runs on the data folder.',
  [EXIT_TRY_AGAIN]:
    'A later try may succeed: something does not answer in time, is busy, or may not be used now.',
  [EXIT_NOT_PERMITTED]:
    'Not permitted: this user may not read or write a file, or the account, the mode or the document of the layer does not allow it.',
  [EXIT_INTERRUPTED]: 'Interrupted; a pass that `sync` started continues.',
};

/** What `--json` has as the code of an error that no fault caused. */
export const errorCodes: Record<number, string> = {
  1: 'failed',
  [EXIT_USAGE]: 'usage',
  [EXIT_UNUSABLE]: 'unusable',
  [EXIT_NO_LAYER]: 'no-layer',
  [EXIT_TRY_AGAIN]: 'try-again',
  [EXIT_NOT_PERMITTED]: 'not-permitted',
  [EXIT_INTERRUPTED]: 'interrupted',
};

/** An error for the user of the command: cause and remedy, one sentence a line. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly exitCode: number;
  /** One of `errorCodes`, or the code of the fault. */
  readonly code: string;

  /**
   * @param exitCode one of `exitCodes`
   * @param code of the fault that caused it
   */
  constructor(message: string, exitCode = 1, code = errorCodes[exitCode] ?? 'failed') {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
  }
}
