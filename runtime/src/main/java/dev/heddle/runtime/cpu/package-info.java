/**
 * The CPU device and its kernels.
 *
 * <p>{@link dev.heddle.runtime.cpu.CpuDevice} is a device of cores; {@link
 * dev.heddle.runtime.cpu.CpuBackend} says which of the kernel tables it uses: {@link
 * dev.heddle.runtime.cpu.ReferenceKernels} (slow, obvious, all floating types: the control that
 * everything is tested against) or the fastest that is found.
 */
package dev.heddle.runtime.cpu;
