package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.MemorySegment;

/**
 * The processor's cores as a device: memory outside the Java heap, a fixed number of threads, and
 * the best kernels found (see {@link CpuBackend}). Ranks that share a machine open one each with
 * their share of the cores.
 *
 * <p>One thread, the rank's, may use a device; only its own workers join in.
 */
public final class CpuDevice implements Device {
  private final String name;
  private final WorkerPool workers;
  private final MemoryPool memory;
  private final Kernels[] kernels;

  private CpuDevice(String name, int threads, CpuBackend backend) {
    this.name = name;
    this.workers = new WorkerPool(name, threads);
    this.memory = new MemoryPool(name, new MappedMemory());
    this.kernels = backend.tables(workers, memory);
  }

  /** A device called {@code cpu} with all cores of the machine and the best kernels found. */
  public static CpuDevice open() {
    return open("cpu", Runtime.getRuntime().availableProcessors(), CpuBackend.BEST);
  }

  /** A device with {@code threads} threads, the caller's included, and the given kernels. */
  public static CpuDevice open(String name, int threads, CpuBackend backend) {
    return new CpuDevice(name, threads, backend);
  }

  @Override
  public String name() {
    return name;
  }

  /** Threads that compute, the rank's own included. */
  public int threads() {
    return workers.threads();
  }

  /** The threads that compute. */
  public WorkerPool workers() {
    return workers;
  }

  @Override
  public Kernels kernels(DType dtype) {
    return kernels[dtype.ordinal()];
  }

  @Override
  public MemoryPool memory() {
    return memory;
  }

  @Override
  public void copyFromHost(MemorySegment source, Block destination, long offset) {
    MemorySegment.copy(source, 0, destination.segment(), offset, source.byteSize());
  }

  @Override
  public void copyToHost(Block source, long offset, MemorySegment destination) {
    MemorySegment.copy(source.segment(), offset, destination, 0, destination.byteSize());
  }

  @Override
  public void synchronize() {
    // Every kernel has finished when its call returns.
  }

  @Override
  public void close() {
    workers.close();
    memory.close();
  }

  @Override
  public String toString() {
    return name + " (" + threads() + " threads, " + kernels(DType.F32).name() + ")";
  }
}
