import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Throughput } from '#proto/api/link.ts';
import { isDark } from '../browser/preferences.ts';
import { rateText } from '../format/quantities.ts';
import { clockText } from '../format/times.ts';

/** Bytes per second in both directions, as areas over the last hour, also before there is data of all of it. */

const SHOWN_S = 3_600;

const hourBefore = (at: number): [number, number] => [at - SHOWN_S, at];

const variable = (element: Element, name: string) => getComputedStyle(element).getPropertyValue(name).trim();

function optionsOf(element: HTMLElement): uPlot.Options {
  const ink = variable(element, '--ink-soft');
  const grid = { stroke: variable(element, '--line'), width: 1 };
  const size = Number.parseFloat(getComputedStyle(element).fontSize) || 14;
  const font = `${size * 0.86}px ${getComputedStyle(element).fontFamily}`;
  const series = (label: string, color: string): uPlot.Series => ({
    label,
    stroke: variable(element, color),
    fill: `${variable(element, color)}22`,
    width: 1.5,
    points: { show: false },
    value: (_plot, value) => (value === null ? '–' : rateText(value)),
  });
  return {
    width: Math.max(120, element.clientWidth),
    height: Math.max(90, element.clientHeight),
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    padding: [size * 0.6, size * 0.4, 0, 0],
    scales: {
      // Not from the limits that are given: they are widened around a single point.
      x: { range: ({ data: [times] }, _min, max) => hourBefore(times?.at(-1) ?? max) },
      y: { range: (_plot, _min, max) => [0, Math.max(max * 1.1, 1_000)] },
    },
    axes: [
      {
        stroke: ink,
        font,
        grid: { show: false },
        ticks: { ...grid, size: 4 },
        size: size * 1.9,
        space: size * 5,
        values: (_plot, splits) => splits.map((at) => clockText(at * 1_000, false)),
      },
      {
        stroke: ink,
        font,
        grid,
        ticks: { show: false },
        size: size * 5.4,
        space: Math.max(size * 2.4, element.clientHeight / 6),
        values: (_plot, splits) => splits.map((rate) => (rate === 0 ? '0' : rateText(rate))),
      },
    ],
    series: [{}, series('From the parent', '--down'), series('To the parent', '--up')],
  };
}

function dataOf({ interval, points }: Throughput): uPlot.AlignedData {
  const perSecond = (bytes: number) => (bytes * 1_000) / interval;
  return [
    points.map(({ at }) => at / 1_000),
    points.map(({ down }) => perSecond(down)),
    points.map(({ up }) => perSecond(up)),
  ];
}

export function Chart({ throughput, label }: { throughput: Throughput; label: string }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const dark = isDark.value;
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const drawn = new uPlot(optionsOf(element), dataOf(throughput), element);
    plot.current = drawn;
    const observer = new ResizeObserver(() => {
      // An element that was removed with its view has another size, too.
      if (!element.isConnected) return;
      drawn.setSize({
        width: Math.max(120, element.clientWidth),
        height: Math.max(90, element.clientHeight),
      });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
      plot.current = undefined;
    };
  }, [dark]);
  useEffect(() => plot.current?.setData(dataOf(throughput)), [throughput]);
  return <div class="chart" ref={frame} role="img" aria-label={label} />;
}
