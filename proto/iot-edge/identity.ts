/** Who this module is, as edgeAgent says in the environment. */
export type ModuleIdentity = {
  module: string;
  generation: string;
  device: string;
  /** Host name of the IoT hub, which signatures are for. */
  hub: string;
  /** This device's own host name, which edgeHub answers to; a port where it is not the usual one. */
  gateway: string;
  /** The device above in a nested edge. */
  parent?: string;
};

export type ServerCertificate = {
  /** The leaf and its chain, PEM. */
  certificate: string;
  /** PEM. */
  privateKey: string;
  expires: Date;
};
