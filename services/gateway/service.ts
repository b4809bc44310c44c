import type { Server } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import { ACR_LISTEN, isClosed, isConnectedRegistry } from '#proto/document/resolve/module-environment.ts';
import { workloadOf } from '#proto/iot-edge/workload.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { RESERVE } from '#proto/volume/space.ts';
import { Volume } from '#proto/volume/volume.ts';
import { type Context, ended } from '../process/run.ts';
import { buildApp, closeApp } from './app.ts';
import { hasToken, isLoopback } from './auth/access-at-start.ts';
import { addressOf, tlsOf, whyNot } from './tls/listen.ts';
import { renew } from './tls/renewal.ts';
import { checkPair, readPair } from './tls/tls.ts';
import { WorkloadTls, workloadNames } from './tls/workload-tls.ts';

/** How long the first configuration is waited for before something is said or done about it, in ms. */
const FIRST_CONFIGURATION_MS = 3_000;

/**
 * TERRACE_LISTEN            host:port (default 127.0.0.1:5000, or 0.0.0.0:8080 as a connected registry); port 0 takes any that is free
 * TERRACE_TLS_CERTIFICATE   PEM file with the certificate and its chain; empty, as TERRACE_TLS_KEY: plain HTTP
 * TERRACE_TLS_KEY           PEM file with the private key
 * TERRACE_TLS               workload: certificates come from IoT Edge's daemon, and none from files
 * TERRACE_TLS_NAMES         the names and addresses by which clients know this machine, with commas between them
 *                           (default: IOTEDGE_GATEWAYHOSTNAME)
 * TERRACE_INSECURE_LISTEN   1: no token is needed on any address; otherwise, only on loopback
 * TERRACE_AWAIT_TOKEN       1: nobody is let in, or listened to, before there is a token: a document declares one
 * TERRACE_CLOSED            1: nobody is let in without a token, and none need be there at the start
 * TERRACE_GATEWAYS          how many processes of the layer listen there; unless it says 1, there may be others
 * TERRACE_MODE              ReadWrite or ReadOnly, as long as no configuration is on the bus
 *
 * Passwords must never cross a network that they were to be kept from: where the environment doesn't say whether
 * clients speak TLS, nobody is listened to before the configuration has.
 */
export async function gateway({ bus, data, instance, log, signal, env, serves }: Context): Promise<void> {
  let mode: Mode | undefined;
  if (env.TERRACE_MODE === 'ReadWrite' || env.TERRACE_MODE === 'ReadOnly') mode = env.TERRACE_MODE;
  let inForce: Configuration | undefined;
  let guessed = false;
  const { promise: configured, resolve } = Promise.withResolvers<void>();
  const { promise: mistaken, resolve: learn } = Promise.withResolvers<void>();
  bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    // A store of states that was lost says nothing about the mode.
    if (value) {
      inForce = value;
      mode = value.mode;
    }
    if (mode) resolve();
    if (guessed && value?.tls) learn();
  });
  const given = tlsOf(env);
  await Promise.race([configured, ended(signal), sleep(FIRST_CONFIGURATION_MS, undefined, { ref: false })]);
  if (!given && !mode && !signal.aborted) {
    log.warn({}, 'waits for the configuration of the layer: it says whether clients speak TLS');
    await Promise.race([configured, ended(signal)]);
  }
  if (signal.aborted) return;
  const files = given ? given.files : inForce?.tls;
  const names = workloadNames(env);
  const workload = names && workloadOf(env);
  const issued = workload && new WorkloadTls(workload, names, log, signal);
  const pair = issued ? await issued.start(signal) : files && (await readPair(files));
  if (signal.aborted) return;
  if (files && pair && !issued) checkPair(pair, files);
  guessed = !given && !inForce && !issued;

  const listen = env.TERRACE_LISTEN ?? (isConnectedRegistry(env) ? ACR_LISTEN : '127.0.0.1:5000');
  const awaited = env.TERRACE_AWAIT_TOKEN === '1';
  const loopback = isLoopback(addressOf(listen).host);
  const closed = isClosed(env) || (Boolean(env.IOTEDGE_WORKLOADURI) && !loopback);
  const open = env.TERRACE_INSECURE_LISTEN === '1' || (!awaited && !closed && loopback);
  if (closed) log.info({ listen }, 'lets in who has a token, and nobody while there is none');
  else if (!open && !(await hasToken(bus, listen, log, signal, awaited))) return;

  const { app, gateway } = buildApp({
    bus,
    volume: new Volume(data, () => inForce?.reserve ?? RESERVE),
    instance,
    mode: () => mode,
    configuration: () => inForce,
    open,
    anyName: env.TERRACE_INSECURE_LISTEN === '1',
    log,
    tls: pair,
    sni: issued?.sni,
    alone: env.TERRACE_GATEWAYS === '1',
  });
  try {
    // Connections are shared out among the processes by the kernel; one that ends or dies takes only its own with it.
    const reusePort = Number(env.TERRACE_GATEWAYS ?? 1) > 1;
    const address = await app.listen({ ...addressOf(listen), ...(reusePort && { reusePort }) });
    log.info({ address }, `listening on ${address}`);
    serves();
  } catch (error) {
    throw new Fault('config-invalid', whyNot(error as NodeJS.ErrnoException, listen));
  }
  if (issued) void issued.renew(app.server as Server, signal);
  else if (files && pair) void renew(app.server as Server, () => inForce?.tls ?? files, pair, log, signal);
  await Promise.race([ended(signal), mistaken]);
  await closeApp(app, gateway);
  if (signal.aborted) return;
  throw new Fault(
    'unavailable',
    'tls is configured, and this process listens without it: it ends, to be started with it',
  );
}
