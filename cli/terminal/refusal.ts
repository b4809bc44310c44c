/** An error for the user of the command: cause and remedy, one sentence a line. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly exitCode: number;

  /**
   * @param exitCode 2: the command line or a configuration is not valid, and nothing was started; 130: interrupted;
   * `EXIT_UNUSABLE`: starting again does not help; 1: any other error
   */
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
