import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { pino } from 'pino';
import type { ServiceName } from '#proto/contract/users.ts';
import type { LayerLog } from '../../cli/layer/layer-log.ts';
import { COMPACT_PROGRAM, compactEnvironment, type ProgramSettings } from '../../cli/layer/programs.ts';
import type { Program } from '../../cli/layer/supervisor.ts';
import { runGateway } from '../../services/gateway/service.ts';
import { ended, type Main, runService } from '../../services/process/run.ts';
import { runStorage } from '../../services/storage/service.ts';
import { runSyncer } from '../../services/syncer/service.ts';
import { runTwinBridge } from '../../services/twin-bridge/service.ts';

/**
 * The services of a compact layer in the process of the test: they are loaded and compiled once, and not again for each
 * layer. For tests that neither kill nor measure a process of the layer.
 */
export function hostedPrograms(settings: ProgramSettings, log: LayerLog): Program[] {
  const spawn = () => new HostedServices(settings, log) as unknown as ChildProcess;
  return [{ name: COMPACT_PROGRAM, rank: 0, spawn }];
}

const services: Partial<Record<ServiceName, Main>> = {
  'twin-bridge': runTwinBridge,
  gateway: runGateway,
  syncer: runSyncer,
};

/** Stands in for the child process that a supervisor expects. */
class HostedServices extends EventEmitter {
  readonly pid = process.pid;
  readonly #end = new AbortController();
  /** Storage ends after the others. */
  readonly #storageEnd = new AbortController();
  readonly #running = new Set<ServiceName>();

  constructor(settings: ProgramSettings, log: LayerLog) {
    super();
    process.umask(0o077);
    // As on the output of a process, a line that comes after the end is lost.
    const lines = new PassThrough().on('error', () => {});
    log.follow(COMPACT_PROGRAM, lines);
    void this.#run(compactEnvironment(settings), lines).then((code) => {
      lines.end();
      this.emit('exit', code, null);
    });
  }

  kill(signal: NodeJS.Signals): boolean {
    if (signal !== 'SIGTERM') {
      const running = [...this.#running].join(', ');
      throw new Error(
        `services in the process of the test cannot be killed; these have not ended: ${running}`,
      );
    }
    this.#end.abort(new Error(signal));
    return true;
  }

  async #run(env: NodeJS.ProcessEnv, lines: PassThrough): Promise<number> {
    const layer = env.TERRACE_NAME ?? 'layer';
    const logger = pino({ level: env.TERRACE_LOG ?? 'info', base: { layer, pid: process.pid } }, lines);
    const stop = (reason: string) => this.#end.abort(new Error(reason));
    let code = 0;
    const start = async (service: ServiceName, main: Main, signal: AbortSignal) => {
      const log = logger.child({ service });
      this.#running.add(service);
      try {
        await runService(service, main, { layer, env, signal, log }, stop);
      } catch (err) {
        if (signal.aborted && err === signal.reason) return;
        log.fatal({ err }, 'service failed');
        code = 1;
        stop(`${service} has failed`);
      } finally {
        this.#running.delete(service);
      }
    };
    const storageEnded = start('storage', runStorage, this.#storageEnd.signal);
    const others = Object.entries(services).map(([service, main]) =>
      start(service as ServiceName, main, this.#end.signal),
    );
    await ended(this.#end.signal);
    await Promise.all(others);
    this.#storageEnd.abort(this.#end.signal.reason);
    await storageEnded;
    return code;
  }
}
