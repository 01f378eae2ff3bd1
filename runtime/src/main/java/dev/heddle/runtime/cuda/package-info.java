/**
 * NVIDIA GPUs through the CUDA driver.
 *
 * <p>{@link dev.heddle.runtime.cuda.CudaDevice} is what the rest of Heddle sees. Below it are thin
 * classes, one for each thing of the driver's: {@link dev.heddle.runtime.cuda.CudaDriver} (statuses
 * become exceptions that say what to do), {@link dev.heddle.runtime.cuda.CudaContext}, {@link
 * dev.heddle.runtime.cuda.CudaStream} and {@link dev.heddle.runtime.cuda.CudaEvent} (order), {@link
 * dev.heddle.runtime.cuda.CudaMemory} (stream-ordered memory below the usual pool), {@link
 * dev.heddle.runtime.cuda.CudaModule}, {@link dev.heddle.runtime.cuda.CudaFunction} and {@link
 * dev.heddle.runtime.cuda.LaunchArguments} (kernels), {@link dev.heddle.runtime.cuda.CudaGraph} (a
 * step recorded once). {@link dev.heddle.runtime.cuda.CudaReport} says what of all this a machine
 * has.
 *
 * <p>Matrix products are cuBLAS's: {@link dev.heddle.runtime.cuda.CublasProducts} translates them
 * ({@code Gemm} turns row-major into column-major), {@code CublasHandle} is what a stream has,
 * {@code MatmulPlans} keeps what was found out about fused products, and {@code CublasLibrary}
 * calls the functions that {@code CublasFunction} lists.
 *
 * <p>{@link dev.heddle.runtime.cuda.CudaKernels} is the table of primitives: products by cuBLAS
 * ({@link dev.heddle.runtime.cuda.CublasProducts}), everything else by kernels of our own, CUDA C++
 * in {@code runtime/src/main/cuda} that {@code .ci/build-ptx} compiles to the PTX beside these
 * classes. A class launches each family of them; {@link dev.heddle.runtime.cuda.CudaLauncher} has
 * what they share. A launch allocates nothing on either side, its shape depends on the sizes of its
 * arrays alone, and no kernel adds floating-point numbers in an order left to chance: the same step
 * has the same bits on any GPU of one kind, eager or as a graph.
 *
 * <p>The host queues work and goes on. It waits only where it reads a value, and what it writes
 * goes through page-locked memory so that it need not wait there either. A GPU's memory is never
 * addressable by the host: blocks have segments of size zero whose address is the GPU's.
 *
 * <p>{@link dev.heddle.runtime.cuda.PaperGpu} is a device on which all of this runs down to the
 * launch, which is counted instead of made ({@link dev.heddle.runtime.cuda.PaperCounters}): {@code
 * PaperLauncher} takes the place of {@code GpuLauncher}, {@code PaperProducts} that of a {@code
 * CublasHandle}, and {@code PaperKernels} says what each launch moves.
 *
 * <p>Nothing here touches the driver before a device is opened or a report is asked for, and a
 * machine without one is told every name that was tried and what to install.
 */
package dev.heddle.runtime.cuda;
