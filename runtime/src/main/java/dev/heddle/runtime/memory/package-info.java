/**
 * Who owns device memory, and how it is reused.
 *
 * <p>A {@link dev.heddle.runtime.memory.MemoryPool} hands out {@link
 * dev.heddle.runtime.memory.Block}s; a {@link dev.heddle.runtime.memory.MemoryScope} owns those
 * allocated while it is open and returns them on close; {@link
 * dev.heddle.runtime.memory.LeakDetector} remembers who allocated what was never returned. The
 * garbage collector takes no part. {@link dev.heddle.runtime.memory.BulkMemory} copies and clears
 * much of it at a time.
 */
package dev.heddle.runtime.memory;
