package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.HostCopy;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A GPU on paper: a meta device on which the CUDA backend itself runs, down to the launch, which is
 * counted instead of made. So a program of any size says on any machine how many kernels and
 * products it would launch, what these would move, and how often it would wait and allocate:
 *
 * <pre>{@code
 * try (PaperGpu gpu = PaperGpu.open()) {
 *   step(gpu);
 *   PaperCounters first = gpu.counters();
 *   step(gpu);
 *   PaperCounters steady = gpu.counters().since(first);
 * }
 * }</pre>
 *
 * <p>Nothing is kept in a table that could part from the backend: it is {@link CudaKernels} and its
 * families that decide what is launched. Only what a launch moves is said beside them, in {@code
 * PaperKernels}, and compared with what simulated GPUs see.
 *
 * <p>Arrays have addresses and no bytes. Every value that is read is 0, so a program must not
 * depend on values. It belongs to one thread, like other devices.
 */
public final class PaperGpu implements Device {
  /** Compute capability of what is counted: bf16 attention has tensor cores from 8.0 on. */
  private static final int COMPUTE_CAPABILITY = 80;

  /** Where the first block lies, and what all are aligned to: as on a GPU. */
  private static final long FIRST_ADDRESS = 1L << 40;

  private static final long ALIGNMENT = 512;

  private final Arena arena = Arena.ofConfined();
  private final LaunchArguments arguments = new LaunchArguments(arena);
  private final PaperTally tally = new PaperTally();
  private final PaperProducts products = new PaperProducts(tally);
  private final @Nullable Kernels[] kernels = new Kernels[DType.values().length];
  private final MemoryPool memory = new MemoryPool("gpu on paper", new Addresses());

  /** Copies to the host that were begun later, and how many of the first are waited for. */
  private long laterCopies;

  private long laterCopiesDone;
  private boolean closed;

  private PaperGpu() {}

  /** A new GPU of compute capability 8.0, with counters of its own and memory without end. */
  public static PaperGpu open() {
    return new PaperGpu();
  }

  /** Hands out addresses one after the other, and nothing behind them. */
  private final class Addresses implements MemoryPool.Source {
    private long next = FIRST_ADDRESS;

    @Override
    public MemorySegment allocate(long byteSize) {
      MemorySegment segment = MemorySegment.ofAddress(next);
      next += (byteSize + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
      tally.device.deviceAllocations++;
      return segment;
    }

    @Override
    public void close() {}
  }

  /** What would have been done so far. */
  public PaperCounters counters() {
    return tally.read();
  }

  int computeCapability() {
    return COMPUTE_CAPABILITY;
  }

  LaunchArguments arguments() {
    return arguments.clear();
  }

  @Override
  public String name() {
    return "gpu on paper";
  }

  @Override
  public Kernels kernels(DType dtype) {
    Kernels table = kernels[dtype.ordinal()];
    if (table == null) {
      CudaKernels launching =
          new CudaKernels(
              new PaperLauncher(this, tally, dtype),
              () -> new CublasProducts(this, dtype, ProductOptions.exact(), () -> products));
      table = new PaperKernels(launching, tally);
      kernels[dtype.ordinal()] = table;
    }
    return table;
  }

  @Override
  public MemoryPool memory() {
    return memory;
  }

  @Override
  public void copyFromHost(MemorySegment source, Block destination, long offset) {
    tally.device.bytesToDevice += source.byteSize();
  }

  /** Zeros. */
  @Override
  public void copyToHost(Block source, long offset, MemorySegment destination) {
    if (destination.byteSize() > 0) {
      destination.fill((byte) 0);
      tally.device.bytesToHost += destination.byteSize();
      synchronize();
    }
  }

  @Override
  public boolean isAsynchronous() {
    return true;
  }

  /** Zeros, which are there when they, or all work, have been waited for. */
  @Override
  public HostCopy copyToHostLater(Block source, long offset, long bytes) {
    tally.device.bytesToHost += bytes;
    return new LaterCopy(++laterCopies, bytes, tally.device.given());
  }

  private final class LaterCopy implements HostCopy {
    private final long number;
    private final long bytes;

    /** What the device had been given when this copy was. */
    private final long given;

    private LaterCopy(long number, long bytes, long given) {
      this.number = number;
      this.bytes = bytes;
      this.given = given;
    }

    @Override
    public boolean isDone() {
      return number <= laterCopiesDone;
    }

    @Override
    public MemorySegment await() {
      if (!isDone()) {
        if (tally.device.given() > given) {
          tally.device.trailingWaits++;
        } else {
          tally.device.hostSynchronizations++;
        }
        laterCopiesDone = number;
      }
      return MemorySegment.ofArray(new byte[Math.toIntExact(bytes)]);
    }
  }

  @Override
  public void synchronize() {
    tally.device.hostSynchronizations++;
    laterCopiesDone = laterCopies;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      memory.close();
      arena.close();
    }
  }
}
