import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { EmulatedLink } from './emulated-link.ts';

const PORT = 5_000;
/** Time in which docker-registry starts; a check over the link would be traffic on it. */
const START_MS = 1_000;

/** A docker-registry at the other end of an emulated link, with the content of another one. */
export class ParentBeyondLink implements AsyncDisposable {
  readonly host: string;
  readonly #process: ChildProcess;

  /** @param content folder of the other registry's content; it is only read here */
  static async start(link: EmulatedLink, content: string, folder: string): Promise<ParentBeyondLink> {
    const host = `${link.address}:${PORT}`;
    const configuration = join(folder, `${link.address}.yml`);
    await writeFile(
      configuration,
      stringify({
        version: '0.1',
        log: { level: 'error', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: content } },
        http: { addr: host },
      }),
    );
    const child = link.spawnAtParent('docker-registry', ['serve', configuration]);
    await sleep(START_MS);
    if (child.exitCode !== null) throw new Error('docker-registry ended');
    return new ParentBeyondLink(host, child);
  }

  private constructor(host: string, child: ChildProcess) {
    this.host = host;
    this.#process = child;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}
