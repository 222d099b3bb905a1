/**
 * Ordered versions in memory: a B+ tree of versions by key ascending, timestamp descending, whose
 * clones are copy-on-write.
 *
 * `sorted-btree` is CommonJS with a `default` of its own, which loaders unwrap differently; the class
 * is therefore taken from a named export, which they agree on.
 */
import { compareBytes, type Timestamp } from '@moku/base';
import type sortedBtree from 'sorted-btree';
import { EmptyBTree } from 'sorted-btree';
import type { VersionedValue } from './contracts/engine.js';

type TreeClass = typeof sortedBtree.default<VersionedValue, undefined>;
export type VersionTree = InstanceType<TreeClass>;

const Tree = EmptyBTree.constructor as TreeClass;

/** Key ascending, then timestamp descending: the newest version of a key comes first. */
function compareVersions(a: VersionedValue, b: VersionedValue): number {
  const order = compareBytes(a.key, b.key);
  return order !== 0 ? order : b.timestamp - a.timestamp;
}

export function createVersionTree(): VersionTree {
  return new Tree(undefined, compareVersions);
}

/** A search position: at or before every version of `key` that is not newer than `timestamp`. */
export function versionPosition(key: Uint8Array, timestamp: number): VersionedValue {
  return { key, timestamp: timestamp as Timestamp, value: undefined };
}
