import { setTimeout as sleep } from 'node:timers/promises';
import { execute } from './registry/debian.ts';

/**
 * Why the tests with a container engine are left out, or false. They build images, so they need a base and time:
 * `TERRACE_ENGINE=1`, docker with compose, and `TERRACE_BASE` where the default base can't be pulled.
 */
export const noEngine = process.env.TERRACE_ENGINE ? false : 'needs a container engine: TERRACE_ENGINE=1';

/** One project of docker compose, which goes with the test, volumes and all. */
export class Compose implements AsyncDisposable {
  readonly #words: string[];

  constructor(file: string, project: string) {
    this.#words = ['compose', '-f', file, '-p', project];
  }

  /** @returns what it printed. @throws with all that it said */
  async run(...words: string[]): Promise<string> {
    const { stdout } = await execute('docker', [...this.#words, ...words], {
      timeout: 600_000,
      maxBuffer: 64 << 20,
    });
    return stdout;
  }

  exec(service: string, ...words: string[]): Promise<string> {
    return this.run('exec', '-T', service, ...words);
  }

  async fails(service: string, ...words: string[]): Promise<string> {
    try {
      await this.exec(service, ...words);
    } catch (error) {
      return String((error as { stderr?: string }).stderr ?? error);
    }
    throw new Error(`${service}: ${words.join(' ')} did not fail`);
  }

  /** The id of the one container of a service, also where that does not run. */
  async container(service: string): Promise<string> {
    return (await this.run('ps', '--all', '--quiet', service)).trim();
  }

  /** From inside of a container. @returns `open`, or the code of the failure */
  async reach(service: string, host: string, port = 5000): Promise<string> {
    const script =
      "const s=require('net').connect({host:process.argv[1],port:process.argv[2],timeout:3000});" +
      "const say=(t)=>{console.log(t);process.exit()};s.on('connect',()=>say('open'));" +
      "s.on('error',(e)=>say(e.code));s.on('timeout',()=>say('timeout'))";
    return (await this.exec(service, 'node', '-e', script, host, String(port))).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('down', '--volumes', '--timeout', '10', '--remove-orphans');
  }
}

/** Asks again until it is answered. @throws the last failure */
export async function until<T>(what: () => Promise<T>, withinMs = 120_000): Promise<T> {
  for (const end = Date.now() + withinMs; ; await sleep(500)) {
    try {
      return await what();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
