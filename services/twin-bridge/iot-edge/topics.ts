/** Topics of the module twin and of direct methods (IoT Hub, "Communicate using the MQTT protocol"). */

export const SUBSCRIPTIONS = [
  '$iothub/twin/res/#',
  '$iothub/twin/PATCH/properties/desired/#',
  '$iothub/methods/POST/#',
];

export const getTwin = (id: string): string => `$iothub/twin/GET/?$rid=${id}`;
export const patchReported = (id: string): string => `$iothub/twin/PATCH/properties/reported/?$rid=${id}`;
export const answerMethod = (id: string, status: number): string =>
  `$iothub/methods/res/${status}/?$rid=${id}`;

export type TwinMessage =
  | { kind: 'reply'; status: number; id: string }
  | { kind: 'desired' }
  | { kind: 'method'; name: string; id: string };

/** @returns undefined for any other topic */
export function topicOf(topic: string): TwinMessage | undefined {
  const [path = '', query = ''] = topic.split('?');
  const id = new URLSearchParams(query).get('$rid');
  if (path.startsWith('$iothub/twin/PATCH/properties/desired/')) return { kind: 'desired' };
  if (id === null) return undefined;
  const reply = /^\$iothub\/twin\/res\/(\d{3})\/$/.exec(path);
  if (reply) return { kind: 'reply', status: Number(reply[1]), id };
  const method = /^\$iothub\/methods\/POST\/([^/]+)\/$/.exec(path);
  return method ? { kind: 'method', name: method[1] as string, id } : undefined;
}
