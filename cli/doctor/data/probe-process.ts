import { probeFiles } from './probe-files.ts';

/**
 * The process that tries the file system: `node probe-process.ts FOLDER` writes the `ProbeResult` as JSON to stdout. A
 * process of its own can be left behind while its file system does not answer.
 */
if (import.meta.main) process.stdout.write(JSON.stringify(probeFiles(process.argv[2] ?? '')));
