import type { Architecture } from '../program/needed-files.ts';
import type { ProductionPackage } from '../program/production-packages.ts';

/** Texts of the package that depend on its version and its content. Pure. */

const MAINTAINER = 'Terrace maintainers <terrace@localhost>';
const SYNOPSIS = 'connected container registry for layered networks';

/** Pre-releases sort before the release. */
export const debianVersion = (version: string): string => version.replace('-', '~');

/** @param kilobytes of the installed files */
export const control = (version: string, architecture: Architecture, kilobytes: number): string =>
  `Package: terrace
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kilobytes}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6 (>= 2.28), libgcc-s1 (>= 4.2), libstdc++6 (>= 9), nats-server (>= 2.9), passwd
Recommends: ca-certificates, systemd
Suggests: skopeo
Section: net
Priority: optional
Description: ${SYNOPSIS}
 Terrace is an open, connected container registry for factories, ships and
 grids in which only the top layer reaches the cloud, and every lower one only
 its neighbour. Each layer runs one Terrace: clients pull from it and push to
 it, whether or not the link above is up, and it keeps itself equal to its
 parent in both directions.
 .
 The package runs one layer as a service of systemd, with its own user. It has
 its own Node.
`;

/** Debian's form of a changelog, of one entry: CHANGELOG.md beside it has the changes. @param time in s since 1970 */
export const changelog = (version: string, time: number): string =>
  `terrace (${version}) unstable; urgency=medium

  * Changes: /usr/share/doc/terrace/CHANGELOG.md

 -- ${MAINTAINER}  ${new Date(time * 1_000).toUTCString().replace('GMT', '+0000')}
`;

/** @param licence the text of the project's own @param nodeVersion version of the Node inside */
export function copyright(licence: string, packages: ProductionPackage[], nodeVersion: string): string {
  return [
    'Terrace',
    '',
    licence.trim(),
    '',
    `Node ${nodeVersion}, in usr/lib/terrace/bin: MIT and others, see /usr/lib/terrace/bin/LICENSE.node`,
    '',
    'Packages in usr/lib/terrace, each with the text of its license in its folder; Debian has that of Apache-2.0 in',
    '/usr/share/common-licenses/Apache-2.0:',
    '',
    ...packages.map(({ folder, name, version, license }) => `  ${name} ${version}: ${license}, in ${folder}`),
    '',
  ].join('\n');
}
