/**
 * Communication of arrays that ranks cannot reach: they travel through main memory.
 *
 * <pre>{@code
 * LocalWorld.run(2, world -> {
 *   try (StagedCommunicator staged = StagedCommunicator.over(world);
 *       CudaDevice device = CudaDevice.open(world.rank());
 *       MemoryScope scope = MemoryScope.open()) {
 *     NDArray gradient = NDArray.full(device, DType.F32, Shape.of(3), world.rank() + 1);
 *     staged.allReduce(gradient, ReduceOp.SUM).await();
 *   }
 * });
 * }</pre>
 *
 * <p>It is what works wherever the ranks can talk at all, without NCCL and with any number of ranks
 * a GPU; it gives the bits of the communicator below it. It waits for the device at every call.
 */
@NullMarked
package dev.heddle.parallel.comm.staged;

import org.jspecify.annotations.NullMarked;
