import { setTimeout as sleep } from 'node:timers/promises';
import { execute } from './registry/debian.ts';

/**
 * Reason to skip the tests that need a container engine, or false. They build images, which takes long, and need
 * `TERRACE_ENGINE=1`, docker with compose, and TERRACE_BASE if the default base image can't be pulled.
 */
export const noEngine = process.env.TERRACE_ENGINE ? false : 'needs a container engine: TERRACE_ENGINE=1';

/** A project of docker compose; when disposed, it is removed with its volumes. */
export class Compose implements AsyncDisposable {
  readonly #command: string[];

  constructor(file: string, project: string) {
    this.#command = ['compose', '-f', file, '-p', project];
  }

  /** @returns its stdout. @throws with its stdout and stderr */
  async run(...parameters: string[]): Promise<string> {
    const { stdout } = await execute('docker', [...this.#command, ...parameters], {
      timeout: 600_000,
      maxBuffer: 64 << 20,
    });
    return stdout;
  }

  exec(service: string, ...parameters: string[]): Promise<string> {
    return this.run('exec', '-T', service, ...parameters);
  }

  /** Runs a command that has to fail. @returns its stderr */
  async execFailing(service: string, ...parameters: string[]): Promise<string> {
    try {
      await this.exec(service, ...parameters);
    } catch (error) {
      return String((error as { stderr?: string }).stderr ?? error);
    }
    throw new Error(`${service}: ${parameters.join(' ')} did not fail`);
  }

  /** The id of the only container of a service, also of a stopped one. */
  async container(service: string): Promise<string> {
    return (await this.run('ps', '--all', '--quiet', service)).trim();
  }

  /** Connects to a TCP port from inside a container. @returns `open`, or the error code */
  async connectResult(service: string, host: string, port = 5000): Promise<string> {
    const script =
      "const s=require('net').connect({host:process.argv[1],port:process.argv[2],timeout:3000});" +
      "const print=(t)=>{console.log(t);process.exit()};s.on('connect',()=>print('open'));" +
      "s.on('error',(e)=>print(e.code));s.on('timeout',()=>print('timeout'))";
    return (await this.exec(service, 'node', '-e', script, host, String(port))).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('down', '--volumes', '--timeout', '10', '--remove-orphans');
  }
}

/** Retries until `attempt` succeeds. @throws its last error after `withinMs` */
export async function retry<T>(attempt: () => Promise<T>, withinMs = 120_000): Promise<T> {
  for (const end = Date.now() + withinMs; ; await sleep(500)) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
