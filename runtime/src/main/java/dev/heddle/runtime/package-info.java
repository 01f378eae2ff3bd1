/**
 * Arrays, devices and the table of primitives.
 *
 * <p>Start with {@link dev.heddle.runtime.NDArray} (a shaped, strided, typed window on device
 * memory), {@link dev.heddle.runtime.Device} (where it lives) and {@link
 * dev.heddle.runtime.Kernels} (what can be computed on it). An array computes nothing by itself and
 * knows neither gradients nor other ranks.
 *
 * <p>Memory has an explicit owner: whatever is allocated belongs to the innermost open {@link
 * dev.heddle.runtime.memory.MemoryScope} of the thread and goes back to the device's pool when that
 * scope closes. Arrays belong to one thread, the rank's.
 */
package dev.heddle.runtime;
