package dev.heddle.simulated.driver;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.simulated.memory.SimulatedFault;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The simulated GPUs of one installation and everything that handles stand for. One lock, the
 * machine's own, guards all of it: driver calls of several threads take turns.
 */
final class Machine {
  private static final long FIRST_HANDLE = 0x5100_0000_0000L;
  private static final long STUCK_MILLIS = 60_000;
  private static final System.Logger LOG = System.getLogger("dev.heddle.simulated.driver");

  private static final ThreadLocal<@Nullable SimulatedContext> CONTEXTS = new ThreadLocal<>();

  private static volatile @Nullable Machine current;

  final SimulatedOptions options;
  final List<SimulatedGpu> gpus = new ArrayList<>();
  final HostMemory hostMemory = new HostMemory();
  final Tally tally = new Tally();
  final Set<Capture> captures = new LinkedHashSet<>();
  final KernelImage.Compiler compiler = new PtxCompiler();
  private final Map<Long, Object> handles = new HashMap<>();
  private final List<String> complaints = new ArrayList<>();
  private final List<String> leaks = new ArrayList<>();
  private long nextHandle = FIRST_HANDLE;
  private boolean started;

  /** How long a call waits for one of another thread before it is called stuck. */
  long stuckMillis = STUCK_MILLIS;

  Machine(int count, SimulatedOptions options) {
    this.options = options;
    for (int i = 0; i < count; i++) {
      gpus.add(new SimulatedGpu(this, i));
    }
  }

  static void install(@Nullable Machine machine) {
    current = machine;
  }

  /** The installed machine, started or not. */
  static Machine installed() {
    Machine machine = current;
    if (machine == null) {
      throw new DriverError(
          Cuda.CUDA_ERROR_DEINITIALIZED(),
          "the simulated driver is called while no SimulatedGpus are installed");
    }
    return machine;
  }

  /** The installed machine, {@code cuInit} having been called. */
  static Machine running() {
    Machine machine = installed();
    if (!machine.started) {
      throw new DriverError(Cuda.CUDA_ERROR_NOT_INITIALIZED(), "cuInit was not called");
    }
    return machine;
  }

  static @Nullable Machine installedOrNull() {
    return current;
  }

  void start() {
    if (gpus.isEmpty()) {
      throw new DriverError(Cuda.CUDA_ERROR_NO_DEVICE(), "no simulated GPUs");
    }
    started = true;
  }

  // ---- handles

  long handle(Object object) {
    nextHandle += 16;
    handles.put(nextHandle, object);
    return nextHandle;
  }

  /** What a handle of that type stands for. */
  <T> T object(MemorySegment handle, Class<T> type) {
    Object object = handles.get(handle.address());
    if (!type.isInstance(object)) {
      throw DriverError.invalidHandle(
          "0x%x is no %s%s"
              .formatted(
                  handle.address(),
                  type.getSimpleName(),
                  object == null
                      ? "; it was destroyed or never made"
                      : " but a " + object.getClass().getSimpleName()));
    }
    return type.cast(object);
  }

  /** What a handle of that type stands for; null if there is no such thing any more. */
  <T> @Nullable T objectOrNull(MemorySegment handle, Class<T> type) {
    Object object = handles.get(handle.address());
    return type.isInstance(object) ? type.cast(object) : null;
  }

  void forget(MemorySegment handle) {
    handles.remove(handle.address());
  }

  void forgetAllOf(SimulatedContext context) {
    handles
        .values()
        .removeIf(object -> object instanceof InContext owned && owned.context() == context);
  }

  /** Descriptions of what still has a handle in that context. */
  List<String> livingIn(SimulatedContext context) {
    List<String> living = new ArrayList<>();
    for (Object object : handles.values()) {
      if (object instanceof InContext owned && owned.context() == context && owned.counts()) {
        living.add(owned.toString());
      }
    }
    return living;
  }

  SimulatedGpu gpu(int device) {
    if (device < 0 || device >= gpus.size()) {
      throw new DriverError(
          Cuda.CUDA_ERROR_INVALID_DEVICE(), "there is no simulated GPU " + device);
    }
    return gpus.get(device);
  }

  // ---- contexts

  /** The calling thread's context, fit for use. */
  SimulatedContext context() {
    SimulatedContext context = contextOrNull();
    if (context == null) {
      throw new DriverError(
          Cuda.CUDA_ERROR_INVALID_CONTEXT(),
          "no context is current on thread " + Thread.currentThread().getName());
    }
    return context.requireSound();
  }

  void setContext(@Nullable SimulatedContext context) {
    if (context == null) {
      CONTEXTS.remove();
    } else {
      CONTEXTS.set(context);
    }
  }

  /** The calling thread's context; one of an installation that has ended is none. */
  @Nullable SimulatedContext contextOrNull() {
    SimulatedContext context = CONTEXTS.get();
    return context != null && context.machine == this ? context : null;
  }

  // ---- waiting

  /**
   * Waits until {@code done} is true, other threads having their turns meanwhile. {@code done} runs
   * queued work itself as far as it can; only work that needs another thread's call makes it wait.
   */
  void await(String what, BooleanSupplier done) {
    long end = System.currentTimeMillis() + stuckMillis;
    while (!done.getAsBoolean()) {
      long left = end - System.currentTimeMillis();
      if (left <= 0) {
        throw new DriverError(
            Cuda.CUDA_ERROR_LAUNCH_TIMEOUT(),
            what + " is stuck; queued work waits for a call that nobody made:\n" + queues());
      }
      try {
        wait(left);
      } catch (InterruptedException interrupted) {
        Thread.currentThread().interrupt();
        throw new DriverError(Cuda.CUDA_ERROR_UNKNOWN(), what + " was interrupted");
      }
    }
  }

  private String queues() {
    StringBuilder text = new StringBuilder();
    for (Object object : handles.values()) {
      if (object instanceof SimulatedStream stream && !stream.isIdle()) {
        text.append("  ").append(stream).append(": ").append(stream.head()).append('\n');
      }
    }
    return text.toString();
  }

  // ---- faults

  /** A call that returns an error; what a person should know about it. */
  void complain(String text) {
    complaints.add(text);
    LOG.log(System.Logger.Level.DEBUG, "simulated driver: {0}", text);
  }

  List<String> complaints() {
    return List.copyOf(complaints);
  }

  void leaked(String what) {
    leaks.add(what);
  }

  /** What was never given back; what a lost context held does not count. */
  List<String> leaksAtClose() {
    List<String> all = new ArrayList<>(leaks);
    boolean lost = false;
    for (SimulatedGpu gpu : gpus) {
      SimulatedContext context = gpu.primaryOrNull();
      if (context != null) {
        lost |= context.isLost();
        if (!context.isLost()) {
          all.add(context + " has " + context.uses + " user(s) left");
        }
      }
      lost |= gpu.lostBefore();
    }
    if (!lost && hostMemory.count() > 0) {
      all.add(hostMemory.count() + " piece(s) of page-locked memory");
    }
    return all;
  }

  /** The status that a real GPU would have for a fault. */
  static int status(SimulatedFault fault) {
    return switch (fault.kind()) {
      case ILLEGAL_ADDRESS, INVALID_FREE -> Cuda.CUDA_ERROR_ILLEGAL_ADDRESS();
      case MISALIGNED_ADDRESS -> Cuda.CUDA_ERROR_MISALIGNED_ADDRESS();
      case OUT_OF_MEMORY -> Cuda.CUDA_ERROR_OUT_OF_MEMORY();
      case TRAP -> Cuda.CUDA_ERROR_ILLEGAL_INSTRUCTION();
      case DEADLOCK -> Cuda.CUDA_ERROR_LAUNCH_TIMEOUT();
      default -> Cuda.CUDA_ERROR_LAUNCH_FAILED();
    };
  }

  void close() {
    for (SimulatedGpu gpu : gpus) {
      gpu.close();
    }
    hostMemory.close();
  }
}
