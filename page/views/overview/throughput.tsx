import type { JSX } from 'preact';
import type { Throughput } from '#proto/api/link.ts';
import { usePolled } from '../../api/polled.ts';
import { bytesText } from '../../format/quantities.ts';
import { Chart } from '../../parts/chart.tsx';
import { Panel, Pending } from '../../parts/panel.tsx';

const EVERY_MS = 10_000;

export function ThroughputPanel(): JSX.Element {
  const { value, error } = usePolled<Throughput>('/throughput', EVERY_MS);
  const throughput = value.value;
  if (!throughput) {
    return (
      <Panel id="throughput" title="Throughput">
        <Pending error={error.value} />
      </Panel>
    );
  }
  const sum = (direction: 'down' | 'up') =>
    bytesText(throughput.points.reduce((total, point) => total + point[direction], 0));
  const label = `Last hour: ${sum('down')} from the parent, ${sum('up')} to the parent`;
  return (
    <Panel
      id="throughput"
      title="Throughput, last hour"
      aside={
        <ul class="legend">
          <li class="down">↓ {sum('down')}</li>
          <li class="up">↑ {sum('up')}</li>
        </ul>
      }
    >
      <Chart throughput={throughput} label={label} />
    </Panel>
  );
}
