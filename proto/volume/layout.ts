import { join } from 'node:path';
import type { UserName } from '../contract/users.ts';

/*
 * Paths on the data volume, relative to it. All code takes them from here, but for the shell script cli/health.
 *
 *   metadata/                     LevelDB, opened by storage only; metadata.json next to it: see
 *                                 services/storage/metadata/metadata-state.ts
 *   repair/<time>/                what a repair replaced (metadata/), the new metadata until then (rebuilt/), and its
 *                                 report (report.txt): see services/storage/repair/repair-folder.ts
 *   restore/                      of an unfinished `terrace restore`: the id of the backup, and the metadata so far; see
 *                                 services/storage/backup/restore/restore.ts
 *   upgrades/                     copies of the metadata from before an upgrade: see upgrade-copies.ts
 *   blobs/<algorithm>/<2 digits>/<hex>   committed content: see services/storage/content/blob-store.ts
 *   ingest/<id>/                  content being written: see services/storage/content/ingest-folders.ts
 *     data                        the bytes; the file's size is the offset
 *     chunks                      chunk log, of a transfer only (chunk-log.ts)
 *     copy                        private copy, while an unclean ingest is committed
 *     idle-<token>, active-<token>  state of the claim on an upload: see claim-files.ts
 *   spare/                        empty folders of finished uploads, for the next ones
 *   scratch/                      temporary files of deltas, which have no name but for a moment; what a kill left is
 *                                 deleted at the next start of a syncer: see services/syncer/delta/jobs/scratch-folder.ts
 *   sketches/<algorithm>-<hex>    what layers consist of, to choose bases of deltas; a cache: see
 *                                 services/syncer/delta/jobs/sketch-folder.ts
 *   quarantine/                   damaged content
 *   doctor-<host>-<pid>-<hex>/    files by which "terrace doctor" tries the file system; deleted at once, and by the
 *                                 next one if it was killed
 *   ballast, ballast-inodes/      space held back: see ballast.ts
 *   parent.password               password of the parent, from a connection string: see
 *                                 proto/document/resolve/module-environment.ts
 *   twin.json                     last desired properties of an IoT Edge module: see
 *                                 services/twin-bridge/iot-edge/last-good.ts
 *
 *   bus/url                       nats://host:port, where the services find the bus
 *   bus/place                     identity of the folder that `bus` was written for: a copy has another identity
 *   bus/nats.conf                 configuration of the layer's nats-server; contains all passwords
 *   bus/<user>.password           one for each service, the operator and the monitors
 *   bus/jetstream/                store of the nats-server
 *   run/terrace.pid               the supervisor
 *   run/nats.pid                  the nats-server
 *   run/health/<host>/            how the services report their health: see proto/process/health.ts
 *   run/alone/                    the same files as in `bus/`, for the bus of a command that works while no layer runs
 *   log/terrace.log               log of all processes, JSON lines
 *   log/audit.log                 audit log, JSON lines; written by storage
 */

export const METADATA = 'metadata';
export const METADATA_STATE = `${METADATA}.json`;
export const UPGRADES = 'upgrades';
export const REPAIRS = 'repair';
export const RESTORE = 'restore';
export const QUARANTINE = 'quarantine';
export const BLOBS = 'blobs';
export const INGESTS = 'ingest';
export const SPARE = 'spare';
export const SCRATCH = 'scratch';
export const SKETCHES = 'sketches';
export const BALLAST = 'ballast';
export const BALLAST_INODES = 'ballast-inodes';
export const PARENT_PASSWORD = 'parent.password';
/** Beginning of the names of these folders. */
export const PROBES = 'doctor-';
export const LAST_TWIN = 'twin.json';
export const BUS = 'bus';
export const RUN = 'run';
export const LOGS = 'log';
export const HEALTH = join(RUN, 'health');
/** In place of `BUS`, for a command that works while no layer runs. */
export const BUS_ALONE = join(RUN, 'alone');
export const AUDIT_LOG = join(LOGS, 'audit.log');

export const algorithms = ['sha256', 'sha512'] as const;

export const blobPath = (algorithm: string, hex: string): string =>
  join(BLOBS, algorithm, hex.slice(0, 2), hex);
export const ingestPath = (id: string): string => join(INGESTS, id);
export const busPassword = (user: UserName, bus = BUS): string => join(bus, `${user}.password`);

/** Files of the ingest in this folder. */
export const ingestFiles = (folder: string): { data: string; chunks: string; copy: string } => ({
  data: join(folder, 'data'),
  chunks: join(folder, 'chunks'),
  copy: join(folder, 'copy'),
});

/** Files of an unfinished restore. */
export const restoreFiles = (data: string): { folder: string; id: string; metadata: string } => ({
  folder: join(data, RESTORE),
  id: join(data, RESTORE, 'backup'),
  metadata: join(data, RESTORE, METADATA),
});

/** The file of a claim on the ingest in this folder, by its state. */
export const claimFiles = (folder: string, token: string): { idle: string; active: string } => ({
  idle: join(folder, `idle-${token}`),
  active: join(folder, `active-${token}`),
});

/** Files of the repair in this folder. */
export const repairFiles = (folder: string): { metadata: string; rebuilt: string; report: string } => ({
  metadata: join(folder, METADATA),
  rebuilt: join(folder, 'rebuilt'),
  report: join(folder, 'report.txt'),
});

/** Files of the command on the volume `data`. @param bus `BUS` or `BUS_ALONE` */
export const commandFiles = (data: string, bus: string) => ({
  bus: join(data, bus),
  busUrl: join(data, bus, 'url'),
  busIdentity: join(data, bus, 'place'),
  busConfiguration: join(data, bus, 'nats.conf'),
  password: (user: UserName) => join(data, busPassword(user, bus)),
  jetstream: join(data, bus, 'jetstream'),
  pid: join(data, RUN, 'terrace.pid'),
  busPid: join(data, RUN, 'nats.pid'),
  log: join(data, LOGS, 'terrace.log'),
});
