import { EXIT_UNUSABLE } from '#proto/process/supervision.ts';

/** Exit codes of all commands. */
export const exitCodes: Record<number, string> = {
  0: 'Success.',
  1: 'Any other error; also: `sync` left work undone, `scrub` found damage, `health` found a service that is not well.',
  2: 'The command line or a configuration is not valid; nothing was started.',
  [EXIT_UNUSABLE]:
    'A program of the layer can not start until an operator has repaired something: starting again does not help.',
  130: 'Interrupted; a pass that `sync` began goes on.',
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
