import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { refusalOf } from '../../cli/terminal/failure.ts';
import { formatBitRate, formatBytes } from '../../cli/terminal/figures.ts';
import { Refusal } from '../../cli/terminal/refusal.ts';
import { print, printError } from '../../cli/terminal/terminal.ts';
import { availableCloud, type CloudKind, cloudKinds } from './cloud.ts';
import { Narrator } from './narrator.ts';
import { crossed } from './registry-client.ts';
import { scenes } from './scenes.ts';
import { fastPace, pace as normalPace, type Pace, type Stage, setStage } from './stage.ts';

/**
 * `npm run demo`: a cloud, three layers, a link that is cut and restored, an update, a conflict.
 *
 * stage.ts starts the cloud (cloud.ts) and the layers (watched-layer.ts), with a slow link (slow-link.ts) above each.
 * The steps of scenes.ts push and pull images (image.ts, registry-client.ts), wait for the events of the layers and say
 * what has happened (narrator.ts). A step that does not come true ends the demo with exit code 1.
 */

const USAGE = `npm run demo [-- OPTIONS]: a cloud, three layers, and a link that fails

  --fast          small images, fast links, no time to read
  --keep          leave the data of the layers in their folder
  --cloud KIND    docker-registry (if installed) or terrace`;

const INTERRUPTED = 130;

type Ending = { narrator: Narrator; signal: AbortSignal };
type Options = { pace: Pace; keep: boolean; cloud: CloudKind };

function optionsOf(parameters: string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args: parameters,
      options: {
        fast: { type: 'boolean' },
        keep: { type: 'boolean' },
        cloud: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) return undefined;
    const cloud = cloudKinds.find((kind) => kind === (values.cloud ?? availableCloud()));
    if (!cloud) throw new Error(`--cloud: write ${cloudKinds.join(' or ')}`);
    return { pace: values.fast ? fastPace : normalPace, keep: values.keep ?? false, cloud };
  } catch (error) {
    throw new Refusal(`${(error as Error).message}\n${USAGE}`, 2);
  }
}

async function run(options: Options, interrupted: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-demo-'));
  let isFailed = true;
  try {
    await play(options, folder, interrupted);
    isFailed = false;
  } finally {
    if (options.keep || (isFailed && !interrupted.aborted)) print(`The data and logs are in ${folder}`);
    else await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

async function play({ pace, cloud }: Options, folder: string, signal: AbortSignal): Promise<void> {
  const narrator = new Narrator(scenes.length + 1);
  narrator.line('Terrace demo: a cloud, three layers, and a link that fails', 'strong');
  narrator.say('The layers start …');
  const notice = (text: string) => narrator.say(text);
  await using stage = await setStage({ cloud, pace, folder, signal, notice });
  showStage(stage, pace, narrator);
  for (const scene of scenes) await scene({ stage, narrator, pace, signal });
  await showEnd(stage, folder, pace, { narrator, signal });
}

function showStage({ cloud, site, area, cell }: Stage, pace: Pace, narrator: Narrator): void {
  const rate = formatBitRate(pace.layerRate / 8);
  narrator.line('');
  narrator.line(`   cloud  ${cloud.url}  (${cloud.program})`);
  narrator.line(`     |    ${formatBitRate(pace.cloudRate / 8)}`);
  narrator.line(`   site   ${site.url}`);
  narrator.line(`     |    ${rate}; this is the link that fails`);
  narrator.line(`   area   ${area.url}`);
  narrator.line(`     |    ${rate}`);
  narrator.line(`   cell   ${cell.url}`);
  narrator.line('');
  narrator.line(`   Follow it on the page of the area: ${area.url}/ui/`);
}

async function showEnd(
  { site, area, cell }: Stage,
  folder: string,
  { endMs }: Pace,
  { narrator, signal }: Ending,
) {
  narrator.step('The end: what has crossed the links, and where to see more');
  const columns = (texts: string[]) => texts.map((text) => text.padStart(14)).join('');
  narrator.line(`   link above${columns(['content down', 'content up', 'twice'])}`);
  for (const { name, url } of [site, area, cell]) {
    const { down, up, again } = await crossed(url);
    narrator.line(`   ${name.padEnd(10)}${columns([down, up, again].map(formatBytes))}`);
  }
  narrator.line('');
  for (const { name, url } of [site, area, cell]) narrator.line(`   page of ${name}: ${url}/ui/`);
  narrator.line('   On this machine, they need no login.');
  if (endMs === 0) return;
  narrator.line(`   npx terrace status --data ${join(folder, area.name)}`);
  narrator.line('');
  narrator.line(`   The demo ends in ${endMs / 1_000} s; Enter or Ctrl-C ends it now.`);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, endMs);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    if (process.stdin.isTTY) process.stdin.once('data', end);
  });
  process.stdin.pause();
}

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());

try {
  const options = optionsOf(process.argv.slice(2));
  if (options) await run(options, interruption.signal);
  else print(USAGE);
} catch (error) {
  process.exitCode = interruption.signal.aborted ? INTERRUPTED : refusalOf(error).exitCode;
  if (!interruption.signal.aborted) printError(`demo: ${refusalOf(error).message}`);
}
