/** Identity of this module, from the environment that edgeAgent sets. */
export type ModuleIdentity = {
  module: string;
  generation: string;
  device: string;
  /** Host name of the IoT hub, for which signatures are made. */
  hub: string;
  /** Host name of this device, at which edgeHub answers; with a port if it is not the default one. */
  gateway: string;
  /** Host name of the device above, in a nested edge. */
  parent?: string;
};

export type ServerCertificate = {
  /** The leaf and its chain, PEM. */
  certificate: string;
  /** PEM. */
  privateKey: string;
  expires: Date;
};
