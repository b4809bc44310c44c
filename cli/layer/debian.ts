import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';

const POLICY = '/usr/sbin/policy-rc.d';

export function canInstallDebian(): boolean {
  return process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}

/**
 * Installs Debian packages, without starting their system services.
 * @returns the output of apt-get if it failed
 */
export function installDebian(packages: string[]): string | undefined {
  // Debian runs this program to decide whether a package may start its service; exit code 101 forbids it.
  const isOurs = !existsSync(POLICY);
  if (isOurs) {
    writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
    chmodSync(POLICY, 0o755);
  }
  try {
    const install = ['install', '-y', '-q', '--no-install-recommends', ...packages];
    if (aptGet(install) === undefined) return undefined;
    // The package lists may be missing or outdated.
    return aptGet(['update', '-q']) ?? aptGet(install);
  } finally {
    if (isOurs) rmSync(POLICY, { force: true });
  }
}

function aptGet(parameters: string[]): string | undefined {
  const { status, stderr, stdout } = spawnSync('apt-get', parameters, {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return status === 0 ? undefined : (stderr || stdout || 'apt-get could not be run').trim();
}
