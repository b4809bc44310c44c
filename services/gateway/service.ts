import type { Server } from 'node:https';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '#proto/contract/fault.ts';
import { CONFIGURATION_KEY, type Configuration, configuration } from '#proto/document/configuration.ts';
import { isLoopback } from '#proto/document/networks.ts';
import { isContainer, listenOf } from '#proto/document/resolve/module-environment.ts';
import { checkPair, readPair } from '#proto/http/certificate-pair.ts';
import { loadWorkload } from '#proto/iot-edge/load-workload.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { RESERVE } from '#proto/volume/space.ts';
import { Volume } from '#proto/volume/volume.ts';
import { type Context, ended } from '../process/run.ts';
import { buildApp, closeApp } from './app.ts';
import { admissionOf, hasToken } from './auth/access-at-start.ts';
import { firstTokenCommand, hasOwnNetwork, unreachable } from './http/container-network.ts';
import { listenComplaint, parseListen } from './http/listen-address.ts';
import { HeldCertificate } from './tls/held-certificate.ts';
import { type CertificateHolder, renewFromFiles } from './tls/renew-from-files.ts';
import { tlsOf } from './tls/tls.ts';
import { WorkloadTls, workloadNames } from './tls/workload-tls.ts';

/**
 * The gateway: the layer's HTTP side, for container clients and the layers below. `app.ts` builds the server.
 *
 * A request passes `http/` (host, name, errors), then `auth/` (login, rights), then its route in `routes/`. A read
 * looks up the content in `content/` and sends the file from the data volume. A write claims an ingest at storage,
 * writes the body to its file, and storage commits it. `children/` takes the reports of layers below and bounds their
 * long polls, `audit/` records writes and refusals, `tls/` holds the certificates.
 *
 * The process waits for the configuration if TLS depends on it, loads the certificate, checks that a token exists if it
 * must not start without one, then listens. It ends with its signal, or, to be restarted, when TLS is configured while
 * it listens without.
 */

/** Max wait for the first configuration before logging a warning or using defaults, in ms. */
const FIRST_CONFIGURATION_MS = 3_000;

/**
 * Runs the gateway until `signal` aborts. Environment: proto/process/environment.ts.
 *
 * Passwords must not cross a network in plain text by mistake: if the environment does not say whether clients speak
 * TLS, the gateway does not listen before it has the configuration.
 */
export async function runGateway(context: Context): Promise<void> {
  const { bus, data, instance, log, signal, env, serves, waits, describe, measure } = context;
  let mode: Mode | undefined;
  if (env.TERRACE_MODE === 'ReadWrite' || env.TERRACE_MODE === 'ReadOnly') mode = env.TERRACE_MODE;
  let inForce: Configuration | undefined;
  let plainByDefault = false;
  const { promise: configured, resolve } = Promise.withResolvers<void>();
  const { promise: tlsConfigured, resolve: onTlsConfigured } = Promise.withResolvers<void>();
  let applyOperators = () => {};
  bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    // A lost state store says nothing about the mode.
    if (value) {
      inForce = value;
      mode = value.mode;
      applyOperators();
    }
    if (mode) resolve();
    if (plainByDefault && value?.tls) onTlsConfigured();
  });
  const tlsSetting = tlsOf(env);
  await Promise.race([configured, ended(signal), sleep(FIRST_CONFIGURATION_MS, undefined, { ref: false })]);
  if (!tlsSetting && !mode && !signal.aborted) {
    log.warn({}, 'waiting for the configuration of the layer, which decides about TLS');
    await Promise.race([configured, ended(signal)]);
  }
  if (signal.aborted) return;
  const files = tlsSetting ? tlsSetting.files : inForce?.tls;
  const names = workloadNames(env);
  const workload = names && (await loadWorkload(env));
  const workloadTls = workload && new WorkloadTls(workload, names, log, signal);
  const pair = workloadTls ? await workloadTls.start(signal) : files && (await readPair(files));
  if (signal.aborted) return;
  if (files && pair && !workloadTls) checkPair(pair, files);
  plainByDefault = !tlsSetting && !inForce && !workloadTls;

  const listen = listenOf(env) ?? '127.0.0.1:5000';
  const { open, openOperate = false, start } = admissionOf(env, listen);
  describe(() => ({ open }));
  if (start === 'closed') log.info({ listen }, 'accepting only clients with a token');
  else if (start !== 'open') {
    const command = firstTokenCommand(env, hostname());
    const onAwaited = () => waits(`waiting for the first token: ${command}`);
    const awaited = start === 'await-token' ? { command, onAwaited } : undefined;
    if (!(await hasToken({ bus, listen, log, signal, awaited }))) return;
  }

  const { app, gateway } = buildApp({
    bus,
    volume: new Volume(data, () => inForce?.reserve ?? RESERVE),
    instance,
    mode: () => mode,
    configuration: () => inForce,
    open,
    openOperate,
    anyName: env.TERRACE_INSECURE_LISTEN === '1',
    log,
    tls: pair,
    sni: workloadTls?.sni,
    alone: env.TERRACE_GATEWAYS === '1',
  });
  const certificates: CertificateHolder = {
    setSecureContext(options) {
      (app.server as Server).setSecureContext(options);
      gateway.operators.setSecureContext(options);
    },
  };
  /** As for the address of clients: one that other machines reach needs a token. */
  const mayOperate = async (address: string, until: AbortSignal): Promise<boolean> => {
    const isFree = isLoopback(parseListen(address).host) || env.TERRACE_INSECURE_LISTEN === '1';
    if (isFree) return true;
    const awaited = { command: firstTokenCommand(env, hostname()) };
    return hasToken({ bus, listen: address, log, signal: AbortSignal.any([signal, until]), awaited });
  };
  const held = new HeldCertificate(certificates, pair);
  describe(() => ({ open, ...held.end() }));
  measure(() => ({ http: gateway.httpCounters.read() }));
  try {
    // The kernel distributes connections over the processes; a process that exits or dies closes only its own.
    const reusePort = Number(env.TERRACE_GATEWAYS ?? 1) > 1;
    const address = await app.listen({ ...parseListen(listen), ...(reusePort && { reusePort }) });
    log.info({ address }, `listening on ${address}`);
    applyOperators = () => gateway.operators.apply(inForce?.operate?.listen, mayOperate, reusePort);
    applyOperators();
    const isUnreachable = isContainer(env) && isLoopback(parseListen(listen).host) && hasOwnNetwork();
    if (isUnreachable) {
      log.warn({ listen }, unreachable(listen));
      waits(unreachable(listen));
    } else serves();
  } catch (error) {
    throw new Fault('config-invalid', listenComplaint(error as NodeJS.ErrnoException, listen));
  }
  if (workloadTls) void workloadTls.renew(held, signal);
  else if (files && pair) void renewFromFiles(held, () => inForce?.tls ?? files, pair, log, signal);
  await Promise.race([ended(signal), tlsConfigured]);
  await closeApp(app, gateway);
  if (signal.aborted) return;
  throw new Fault(
    'unavailable',
    'tls is configured, and this process listens without it: it exits to be restarted with TLS',
  );
}
