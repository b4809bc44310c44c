/** Something that the command can't do, told in one sentence with its remedy. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly exitCode: number;

  /** @param exitCode 2: the command line or a configuration is not valid, and nothing was started; 1: all else */
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
