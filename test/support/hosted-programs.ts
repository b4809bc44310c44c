import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { pino } from 'pino';
import type { ServiceName } from '#proto/contract/users.ts';
import type { LayerLog } from '../../cli/layer/layer-log.ts';
import { COMPACT_PROGRAM, compactEnvironment, type ProgramSettings } from '../../cli/layer/programs.ts';
import type { Program } from '../../cli/layer/supervisor.ts';
import { gateway } from '../../services/gateway/service.ts';
import { ended, type Main, runService } from '../../services/process/run.ts';
import { storage } from '../../services/storage/service.ts';
import { syncer } from '../../services/syncer/service.ts';
import { twinBridge } from '../../services/twin-bridge/service.ts';

/**
 * The services of a compact layer in the process of the test: nothing is loaded and compiled anew for each layer. For
 * tests in which no process of the layer is killed or measured.
 */
export function hostedPrograms(settings: ProgramSettings, log: LayerLog): Program[] {
  const spawn = () => new HostedServices(settings, log) as unknown as ChildProcess;
  return [{ name: COMPACT_PROGRAM, rank: 0, spawn }];
}

const services: Partial<Record<ServiceName, Main>> = {
  'twin-bridge': twinBridge,
  gateway,
  syncer,
};

/** To its supervisor it is a child process. */
class HostedServices extends EventEmitter {
  readonly pid = process.pid;
  /** Storage ends when the others have. */
  readonly #end = new AbortController();
  readonly #last = new AbortController();

  constructor(settings: ProgramSettings, log: LayerLog) {
    super();
    process.umask(0o077);
    const lines = new PassThrough();
    log.follow(COMPACT_PROGRAM, lines);
    void this.#run(compactEnvironment(settings), lines).then((code) => {
      lines.end();
      this.emit('exit', code, null);
    });
  }

  kill(signal: NodeJS.Signals): boolean {
    if (signal !== 'SIGTERM') throw new Error('services in the process of the test can not be killed');
    this.#end.abort(new Error(signal));
    return true;
  }

  async #run(env: NodeJS.ProcessEnv, lines: PassThrough): Promise<number> {
    const layer = env.TERRACE_NAME ?? 'layer';
    const logger = pino({ level: env.TERRACE_LOG ?? 'info', base: { layer, pid: process.pid } }, lines);
    const stop = (why: string) => this.#end.abort(new Error(why));
    let code = 0;
    const start = async (service: ServiceName, main: Main, signal: AbortSignal) => {
      const log = logger.child({ service });
      try {
        await runService(service, main, { layer, env, signal, log }, stop);
      } catch (err) {
        if (signal.aborted && err === signal.reason) return;
        log.fatal({ err }, 'service failed');
        code = 1;
        stop(`${service} has failed`);
      }
    };
    const foundation = start('storage', storage, this.#last.signal);
    const others = Object.entries(services).map(([service, main]) =>
      start(service as ServiceName, main, this.#end.signal),
    );
    await ended(this.#end.signal);
    await Promise.all(others);
    this.#last.abort(this.#end.signal.reason);
    await foundation;
    return code;
  }
}
