import { EXIT_UNUSABLE } from '#proto/process/supervision.ts';

/** Exit codes of all commands. */
export const exitCodes: Record<number, string> = {
  0: 'Success.',
  1: 'Any other error; also: `sync` left work undone, `scrub` found damage, `health` found a service that is not healthy.',
  2: 'The command line or a configuration is not valid; nothing was started.',
  [EXIT_UNUSABLE]:
    "A program of the layer can't start until an operator has fixed the cause: a restart does not help.",
  130: 'Interrupted; a pass that `sync` started continues.',
};

/** An error for the user of the command: cause and remedy, one sentence a line. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly exitCode: number;

  /**
   * @param exitCode one of `exitCodes`
   */
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
