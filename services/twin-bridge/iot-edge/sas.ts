import type { ModuleIdentity } from '#proto/iot-edge/identity.ts';

/** Shared access signatures of IoT Hub and edgeHub ("Control access with SAS": sr, sig, se). */

export const resourceOf = ({ hub, device, module }: ModuleIdentity): string =>
  encodeURIComponent(`${hub}/devices/${device}/modules/${module}`);

/** The text to be signed. @param until expiry, in seconds since 1970 */
export const textToSign = (resource: string, until: number): string => `${resource}\n${until}`;

/** @param digest base64, of `textToSign` */
export const signature = (resource: string, digest: string, until: number): string =>
  `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(digest)}&se=${until}`;

/** MQTT's user name and client id (IoT Hub, "Using the MQTT protocol directly as a module"). */
export const userName = ({ hub, device, module }: ModuleIdentity): string =>
  `${hub}/${device}/${module}/?api-version=2021-04-12&DeviceClientType=terrace`;
export const clientId = ({ device, module }: ModuleIdentity): string => `${device}/${module}`;
