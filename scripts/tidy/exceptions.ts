/**
 * Functions that are longer than the rule allows, with their length when they were let in: a list
 * that may only shrink. One that grows past its figure fails, and so does one that no longer needs
 * to be here. The key is the path, `#`, and the name (`Class.method` for a method).
 */
export const longFunctions: Readonly<Record<string, number>> = {};
