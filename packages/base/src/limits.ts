/**
 * Every limit, with its unit. A refusal for one of these has a code (docs/errors.md) and names the bound.
 */

const KiB = 1024;
const MiB = 1024 * 1024;

export const limits = {
  /** A user's key. */
  keyBytesMax: 4 * KiB,
  /** A user's value as stored. */
  valueBytesMax: 1 * MiB,
  /** Operations in one atomic batch. */
  batchOpsMax: 10_000,
  /** Bytes of keys and values in one command. */
  commandBytesMax: 1 * MiB + 64 * KiB,
  /** Bytes of one log entry: a batch of commands, or one command alone. */
  entryBytesMax: 1 * MiB + 128 * KiB,
  /** Bytes of commands gathered into one entry before the next entry begins. */
  entryBytesTarget: 64 * KiB,
  /** Commands gathered into one entry. */
  entryCommandsMax: 4_096,
  /** Length of a keyspace's name, UTF-8 bytes. */
  keyspaceNameBytesMax: 128,
  /** Regions of one keyspace when it is created. */
  regionsPerKeyspaceMax: 100_000,
  /** A link's frame, as aimed at; one larger message gets a frame of its own. */
  frameBytesTarget: 256 * KiB,
  /** A link's frame, as accepted. */
  frameBytesMax: 2 * MiB,
  /** Chunk of a snapshot on the bulk socket. */
  snapshotChunkBytesMax: 256 * KiB,
  /** Bytes that may wait in one link's sockets before appends pause. */
  linkBufferedBytesMax: 8 * MiB,
  /** A client's request or answer. */
  requestBytesMax: 4 * MiB,
  /** Requests of one client connection under way at once. */
  requestsInFlightMax: 4_096,
  /** Client connections of one node. */
  clientConnectionsMax: 10_000,
  /** Commands waiting in one region for its next entry. */
  proposalsPerRegionMax: 8_192,
  /** Bytes of commands waiting or under way on one node. */
  proposalBytesPerNodeMax: 64 * MiB,
  /** Reads waiting in one region for their round. */
  readsPerRegionMax: 8_192,
  /** Entries of one append message. */
  appendEntriesMax: 1_024,
  /** Entry bytes of one append message (at least one entry is always sent). */
  appendBytesMax: 256 * KiB,
  /** Appends under way to one replica. */
  inflightMessagesMax: 256,
  /** Append bytes under way to one replica. */
  inflightBytesMax: 4 * MiB,
  /** Uncommitted bytes of one leader's log tail. */
  uncommittedBytesMax: 16 * MiB,
  /** A row of the log (a larger entry gets its own row). */
  logRowBytesMax: 1 * MiB,
  /** Entry cache of a node's log. */
  logCacheBytesMax: 32 * MiB,
  /** Log batches handed to the writer and not yet synced. */
  logBatchesInFlightMax: 64,
  /** Bytes of such batches. */
  logBytesInFlightMax: 32 * MiB,
  /** Log of one region kept for a lagging replica; beyond, it gets a snapshot. */
  regionLogBytesMax: 64 * MiB,
  /** Overlay of applied writes not yet in data.db. */
  engineOverlayBytesMax: 64 * MiB,
  /** Records of one scan page. */
  scanPageRecordsMax: 10_000,
  /** Bytes of one scan page. */
  scanPageBytesMax: 1 * MiB,
  /** Client sessions that one region remembers (P4). */
  sessionsPerRegionMax: 10_000,
  /** Results remembered per client session and region. */
  resultsPerSessionMax: 4_096,
  /** Bytes of such results. */
  resultBytesPerSessionMax: 256 * KiB,
  /** Nodes of one cluster. */
  nodesMax: 1_024,
  /** A node's address (host:port), UTF-8 bytes. */
  addressBytesMax: 262,
  /** Keyspaces of one cluster. */
  keyspacesMax: 4_096,
  /** Regions of one cluster. */
  regionsMax: 200_000,
  /** Longest time to live of a key. */
  ttlMsMax: 10 * 365 * 24 * 3600 * 1000,
  /** Longest timeout of a request. */
  timeoutMsMax: 10 * 60 * 1000,
} as const;
