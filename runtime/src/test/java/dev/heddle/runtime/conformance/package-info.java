/**
 * One suite that every {@link dev.heddle.runtime.Kernels} table must pass.
 *
 * <p>A backend's test class extends {@link dev.heddle.runtime.conformance.KernelConformance}, says
 * how to open a device and which dtype to test, and inherits all tests. Each primitive runs on the
 * device under test with one thread and with two, and on the reference kernels in F64 with the same
 * values; {@link dev.heddle.runtime.conformance.KernelCase} compares. Shapes include 1, odd sizes
 * and sizes that no vector width divides; arrays are placed contiguous, shifted, with padded rows,
 * transposed or packed by {@link dev.heddle.runtime.conformance.Placement}, with padding that must
 * be neither read nor written.
 *
 * <p>The reference kernels have proofs of their own: finite differences and known values in {@code
 * dev.heddle.runtime.cpu}.
 */
package dev.heddle.runtime.conformance;
