/** Bounds that both ends of a request channel share. */
import { limits } from '@moku/base';

/** Items are gathered into one message up to here. */
export const batchBytesTarget: number = limits.frameBytesTarget;

/** One message, either way: the largest request or answer behind a batch that was just not full. */
export const requestMessageBytesMax: number = limits.requestBytesMax + limits.frameBytesTarget;

/** Default time after which a silent end is given up. */
export const silenceMsDefault = 3_000;
