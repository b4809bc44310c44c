import { setTimeout as sleep } from 'node:timers/promises';
import { CONFIGURATION_KEY, type Configuration, configuration, type Mode } from '#proto/configuration.ts';
import { Volume } from '#proto/volume.ts';
import { type Context, ended } from '../run.ts';
import { buildApp, closeApp } from './app.ts';

/** How long the first configuration is waited for before listening, in ms. Until one comes, writes are answered 503. */
const FIRST_CONFIGURATION_MS = 3_000;

/**
 * TERRACE_LISTEN   host:port (default 127.0.0.1:5000); port 0 takes any that is free
 * TERRACE_MODE     ReadWrite or ReadOnly, as long as no configuration is on the bus
 */
export async function gateway({ bus, data, instance, log, signal, env }: Context): Promise<void> {
  let mode: Mode | undefined;
  if (env.TERRACE_MODE === 'ReadWrite' || env.TERRACE_MODE === 'ReadOnly') mode = env.TERRACE_MODE;
  let inForce: Configuration | undefined;
  const { promise: configured, resolve } = Promise.withResolvers<void>();
  bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    // A store of states that was lost says nothing about the mode.
    if (value) {
      inForce = value;
      mode = value.mode;
    }
    if (mode) resolve();
  });
  await Promise.race([configured, ended(signal), sleep(FIRST_CONFIGURATION_MS, undefined, { ref: false })]);

  const { app, gateway } = buildApp({
    bus,
    volume: new Volume(data),
    instance,
    mode: () => mode,
    configuration: () => inForce,
    log,
  });
  const listen = env.TERRACE_LISTEN ?? '127.0.0.1:5000';
  try {
    const address = await app.listen(addressOf(listen));
    log.info({ address }, `listening on ${address}`);
  } catch (error) {
    log.fatal({ listen }, whyNot(error as NodeJS.ErrnoException, listen));
    process.exitCode = 1;
    return;
  }
  await ended(signal);
  await closeApp(app, gateway);
}

function addressOf(listen: string): { host: string; port: number } {
  const colon = listen.lastIndexOf(':');
  const port = Number(listen.slice(colon + 1));
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  if (colon < 1 || !Number.isInteger(port) || port > 65_535) {
    throw new Error(`cannot listen on ${listen}: write host:port, as in 127.0.0.1:5000`);
  }
  return { host, port };
}

function whyNot({ code, message }: NodeJS.ErrnoException, listen: string): string {
  if (code === 'EADDRINUSE') {
    return `cannot listen on ${listen}: another process does; stop it, or choose another address`;
  }
  if (code === 'EACCES') return `cannot listen on ${listen}: this user may not; choose a port above 1023`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return `cannot listen on ${listen}: this machine has no such address`;
  }
  return message;
}
