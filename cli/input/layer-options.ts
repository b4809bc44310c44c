import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Refusal } from '../terminal/refusal.ts';

/** Declares the options that set fields of the configuration document, and the file with the document. */
export function addLayerOptions(command: Command): Command {
  return command
    .option('--listen <host:port>', 'address for container clients (default: 127.0.0.1:5000)')
    .option('--login-server <host:port>', 'the only name that clients may use for it (default: any)')
    .option(
      '--tls-certificate <file>',
      'PEM file with the certificate and its chain; reloaded when it changes',
    )
    .option('--tls-key <file>', 'PEM file with its private key')
    .option(
      '--trusted-proxy <net...>',
      'networks of proxies whose X-Forwarded-* headers are trusted (default: this machine)',
    )
    .option('--challenge <kind>', 'authentication scheme for clients: Bearer or Basic (default: Bearer)')
    .option(
      '--anonymous-pull <pattern...>',
      'repositories that clients without an account may pull (default: none)',
    )
    .option('--name <name>', 'name of the layer (default: layer)')
    .option('--mode <mode>', 'ReadWrite or ReadOnly (default: ReadWrite)')
    .option('--parent <url>', 'registry above this layer, as https://host')
    .option('--parent-username <name>', 'user name of this layer at the parent')
    .option('--parent-password-file <file>', 'file with the password for the parent')
    .option('--parent-ca <file>', 'PEM file with the CA certificates for the parent')
    .option('--parent-certificate <file>', 'PEM file with the client certificate for the parent')
    .option('--parent-key <file>', 'PEM file with its private key')
    .option(
      '--repository <pattern...>',
      'repositories to synchronize: a name, prefix/* or *; NAME=AS or prefix/*=other/* for other names here (default: *)',
    )
    .option('--schedule <cron>', 'when to synchronize: cron, five fields, UTC (default: every minute)')
    .option(
      '--window <duration>',
      'how long the link may be used after each of these times, such as PT2H (default: no limit)',
    )
    .option('--bandwidth <rate>', 'max rate on the link, such as 2Mbit (default: no limit)')
    .option('--event-ttl <duration>', 'how long events are kept, P1D to P90D (default: P2D)')
    .option('--syncers <n>', 'syncer processes (default: 1)')
    .option('--gateways <n>', 'gateway processes, all on one port (default: 1)')
    .option('--reserve <bytes>', 'disk space to keep free, such as 2GB (default: 512MiB)')
    .option('--config <file>', 'YAML file with the same settings; reloaded when it changes');
}

/** The text of the document. @throws Refusal */
export function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Refusal(`--config: ${path} can't be read (${code}): name a readable file`, 2);
  }
}
