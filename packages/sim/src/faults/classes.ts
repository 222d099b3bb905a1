/**
 * The names of the classes of faults, per family. A seed draws each class on or off by itself; one more
 * name here wants one more kind in its family's file and shifts no other class's randomness.
 */

export const networkClasses = [
  'partition',
  'clog',
  'flap',
  'reset',
  'halfOpen',
  'delay',
  'loss',
  'duplicate',
  'reorder',
  'corrupt',
] as const;

const processClasses = ['crash', 'crashWithin', 'restartStorm', 'pause', 'clock'] as const;

/** What they do to a disk is never undone. */
export const destructiveClasses = ['bitFlip', 'lostSuffix', 'wipe'] as const;

export const diskClasses = [
  'syncDelay',
  'slowDisk',
  'syncFailure',
  'flushFailure',
  'noSpace',
  'swappedDisks',
  'bitFlip',
  'lostSuffix',
  'wipe',
] as const;

export const clientClasses = ['clientLoss'] as const;

export type NetworkClass = (typeof networkClasses)[number];
export type ProcessClass = (typeof processClasses)[number];
export type DiskClass = (typeof diskClasses)[number];
export type ClientClass = (typeof clientClasses)[number];

export type FaultClass = NetworkClass | ProcessClass | DiskClass | ClientClass;

export const faultClasses: readonly FaultClass[] = [
  ...processClasses,
  ...diskClasses,
  ...networkClasses,
  ...clientClasses,
];
