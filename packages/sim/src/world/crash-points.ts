/**
 * A node's adapters with points at which its process may end: before and after a frame, a log write, an
 * apply, a step of a snapshot. The stack of a process that ended goes on to its next return, as no exception
 * could end it everywhere; whatever it still asks for is not done.
 */
import type { Engine, ReplicaState, StoreId, StoreInstall } from '@moku/kv';
import type { LogStore } from '@moku/raft';
import type { Transport } from '@moku/region';

/** Passes a point; false when the process has ended, maybe at this one. */
export type Point = () => boolean;

export function logWithPoints(log: LogStore, point: Point): LogStore {
  let batches = 0;
  return {
    recovered: () => log.recovered(),
    subscribe: (events) => log.subscribe(events),
    region: (regionId) => log.region(regionId),
    write: (writes) => {
      batches += 1;
      if (!point()) return batches;
      batches = log.write(writes);
      point();
      return batches;
    },
    health: () => log.health(),
    getMeta: (key) => log.getMeta(key),
    setMeta: (key, value) => {
      if (point()) log.setMeta(key, value);
    },
  };
}

export function engineWithPoints(engine: Engine, point: Point): Engine {
  return {
    replicas: () => engine.replicas(),
    replica: (regionId) => engine.replica(regionId),
    createReplica: (regionId, replicaId) => {
      const isLive = point();
      const known = isLive ? undefined : engine.replica(regionId);
      if (known !== undefined) return known;
      if (!isLive) return nothing(regionId, replicaId);
      const state = engine.createReplica(regionId, replicaId);
      point();
      return state;
    },
    dropReplica: (regionId) => {
      if (point()) engine.dropReplica(regionId);
    },
    write: (write) => {
      if (!point()) return;
      engine.write(write);
      point();
    },
    isFull: () => engine.isFull(),
    get: (regionId, key, at) => engine.get(regionId, key, at),
    scan: (regionId, range) => engine.scan(regionId, range),
    picture: (regionId) => engine.picture(regionId),
    install: (regionId) => installWithPoints(engine.install(regionId), point),
    durableIndex: (regionId) => engine.durableIndex(regionId),
    requestFlush: () => {
      if (point()) engine.requestFlush();
    },
    subscribe: (events) => engine.subscribe(events),
  };
}

/** What a process that has ended is told that it made. */
function nothing(
  regionId: ReplicaState['regionId'],
  replicaId: ReplicaState['replicaId'],
): ReplicaState {
  return { regionId, replicaId, storeId: 0 as StoreId, appliedIndex: 0, appliedTerm: 0 };
}

function installWithPoints(install: StoreInstall, point: Point): StoreInstall {
  return {
    put: (versions) => {
      if (point()) install.put(versions);
    },
    commit: (applied) => {
      if (!point()) return;
      install.commit(applied);
      point();
    },
    abort: () => {
      if (point()) install.abort();
    },
  };
}

/** `onSend` sees what is about to leave. */
export function transportWithPoints(
  transport: Transport,
  point: Point,
  onSend: (...sent: Parameters<Transport['send']>) => void,
): Transport {
  return {
    subscribe: (events) => transport.subscribe(events),
    send: (session, lane, bytes) => {
      if (!point()) return false;
      onSend(session, lane, bytes);
      const isSent = transport.send(session, lane, bytes);
      point();
      return isSent;
    },
    bufferedBytes: (session, lane) => transport.bufferedBytes(session, lane),
    closeSession: (session, reason) => {
      if (point()) transport.closeSession(session, reason);
    },
  };
}
