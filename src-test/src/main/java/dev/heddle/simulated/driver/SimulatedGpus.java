package dev.heddle.simulated.driver;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.simulated.simt.Launch;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * Simulated GPUs in the place of the CUDA driver, until closed:
 *
 * <pre>{@code
 * try (SimulatedGpus gpus = SimulatedGpus.install(2, SimulatedOptions.lazily());
 *     CudaDevice device = CudaDevice.open(0)) {
 *   ...
 *   assertThat(gpus.counters().synchronizations()).isEqualTo(1);
 * }
 * }</pre>
 *
 * <p>One installation at a time in a JVM. It must come before anything in this JVM calls a real
 * driver, because the bindings keep the functions that they found first.
 */
public final class SimulatedGpus implements AutoCloseable {
  private static final Object INSTALLING = new Object();

  private final Machine machine;
  private final NativeLibrary.Substitution substitution;
  private boolean closed;

  private SimulatedGpus(Machine machine, NativeLibrary.Substitution substitution) {
    this.machine = machine;
    this.substitution = substitution;
  }

  /**
   * Installs {@code count} GPUs.
   *
   * @throws IllegalStateException if others are installed
   */
  public static SimulatedGpus install(int count, SimulatedOptions options) {
    synchronized (INSTALLING) {
      if (Machine.installedOrNull() != null) {
        throw new IllegalStateException(
            "simulated GPUs are installed already; close them first (tests that use them do not run"
                + " at the same time)");
      }
      NativeLibrary.Substitution substitution = NativeLibrary.CUDA.substitute(DriverStubs.INSTANCE);
      Machine machine = new Machine(count, options);
      Machine.install(machine);
      System.getLogger("dev.heddle.simulated.driver")
          .log(System.Logger.Level.DEBUG, "{0} simulated GPU(s): {1}", count, options);
      return new SimulatedGpus(machine, substitution);
    }
  }

  /** What was done so far. */
  public SimulatedCounters counters() {
    synchronized (machine) {
      return machine.tally.read();
    }
  }

  /** Every call that returned an error and every fault of work, told in full, oldest first. */
  public List<String> complaints() {
    synchronized (machine) {
      return machine.complaints();
    }
  }

  /**
   * From now on GPU {@code ordinal} executes and watches kernels in another way than the others.
   */
  public void execute(int ordinal, Launch.Options options) {
    synchronized (machine) {
      machine.gpu(ordinal).execution = options;
    }
  }

  /** Bytes of GPU {@code ordinal} that are allocated now. */
  public long allocatedBytes(int ordinal) {
    synchronized (machine) {
      return machine.gpu(ordinal).memory.capacityBytes() - machine.gpu(ordinal).memory.freeBytes();
    }
  }

  /** GPU memory as work of another library sees it; see {@link #queue}. */
  @FunctionalInterface
  public interface Memory {
    /**
     * Live bytes of the GPU, or of one that it has access to.
     *
     * @param what what they are for, for the fault if they are not there
     */
    MemorySegment at(long address, long bytes, String what);

    /** Says what the work reads and writes, each byte counted once; for the counters. */
    default void moves(long bytesRead, long bytesWritten) {}
  }

  /** A GPU's memory as work of kind {@code kind} sees it. */
  private record Seen(SimulatedGpu gpu, String kind) implements Memory {
    @Override
    public MemorySegment at(long address, long bytes, String what) {
      return gpu.at(address, bytes, what);
    }

    @Override
    public void moves(long bytesRead, long bytesWritten) {
      gpu.machine.tally.moved(kind, bytesRead, bytesWritten);
    }
  }

  /** Work of a simulated library on a stream, such as a product of cuBLAS. */
  @FunctionalInterface
  public interface Task {
    /**
     * Does the work, once each time it is launched: in a graph again and again.
     *
     * @return false if it cannot be done yet because another thread's call is needed; then nothing
     *     was done
     */
    boolean run(Memory memory);
  }

  /**
   * Queues work of another simulated library on a stream of the installed driver: it runs in the
   * stream's order, lazily, and is captured into graphs like a kernel.
   *
   * @param stream the driver's handle
   * @param kind what it is, the same for the same function: what an update of a graph compares
   * @param what the call with its arguments, for messages
   * @return 0, or the driver's status if the stream cannot take work
   */
  public static int queue(MemorySegment stream, String kind, String what, Task task) {
    try {
      Machine machine = Machine.running();
      synchronized (machine) {
        SimulatedStream on = StreamCalls.stream(machine, stream);
        SimulatedGpu gpu = on.context().gpu;
        on.give(
            new GraphNode(
                kind,
                what + " on " + gpu,
                () -> {
                  boolean ran = task.run(new Seen(gpu, kind));
                  if (ran) {
                    machine.tally.launched(kind);
                  }
                  return ran;
                }));
        return 0;
      }
    } catch (DriverError refused) {
      Machine machine = Machine.installedOrNull();
      if (machine != null) {
        synchronized (machine) {
          machine.complain(what + ": " + refused.getMessage());
        }
      }
      return refused.status();
    }
  }

  /**
   * Does something while no call and no work of the GPUs goes on in another thread: for simulated
   * libraries whose work on several GPUs meets. May be called within a {@link Task} too.
   */
  public static <T> T exclusively(Supplier<T> body) {
    Machine machine = Machine.installed();
    synchronized (machine) {
      return body.get();
    }
  }

  /**
   * Within {@link #exclusively}: waits until {@code done} is true, calls and work of other threads
   * going on meanwhile.
   *
   * @return whether it is; false when nothing came for as long as {@link #callStuckAfter} says
   */
  public static boolean await(String what, BooleanSupplier done) {
    try {
      Machine.installed().await(what, done);
      return true;
    } catch (DriverError stuck) {
      return false;
    }
  }

  /**
   * Within a {@link Task}: runs another stream, of any GPU, as far as it goes or until {@code
   * enough}. So work that meets on several GPUs goes on when a thread waits for one of them, as it
   * would on real ones.
   */
  public static void drive(MemorySegment stream, BooleanSupplier enough) {
    Machine machine = Machine.installed();
    synchronized (machine) {
      SimulatedStream other = machine.objectOrNull(stream, SimulatedStream.class);
      while (other != null && !enough.getAsBoolean() && other.step()) {
        // The condition does the work.
      }
    }
  }

  /** {@link #drive} for all streams of a GPU, where it is not known which one the work is on. */
  public static void driveAll(int ordinal, BooleanSupplier enough) {
    Machine machine = Machine.installed();
    synchronized (machine) {
      SimulatedContext context = machine.gpu(ordinal).primaryOrNull();
      if (context == null) {
        return;
      }
      for (SimulatedStream stream : List.copyOf(context.streams)) {
        while (!enough.getAsBoolean() && stream.step()) {
          // The condition does the work.
        }
      }
    }
  }

  /** Whether what is given to the stream is recorded into a graph. */
  public static boolean isCaptured(MemorySegment stream) {
    Machine machine = Machine.installed();
    synchronized (machine) {
      SimulatedStream on = machine.objectOrNull(stream, SimulatedStream.class);
      return on != null && on.capture != null;
    }
  }

  /** Lets waiting threads look again: what work waits for has come by other means than a call. */
  public static void wake() {
    Machine machine = Machine.installedOrNull();
    if (machine != null) {
      synchronized (machine) {
        machine.notifyAll();
      }
    }
  }

  /** How long a call waits for another thread's before it fails as stuck; a minute unless set. */
  public void callStuckAfter(Duration patience) {
    synchronized (machine) {
      machine.stuckMillis = patience.toMillis();
    }
  }

  /** The GPU whose context is current on this thread, or -1: for simulated libraries. */
  public static int currentDevice() {
    Machine machine = Machine.installedOrNull();
    SimulatedContext context = machine == null ? null : machine.contextOrNull();
    return context == null ? -1 : context.gpu.ordinal;
  }

  /**
   * Takes the GPUs away.
   *
   * @throws IllegalStateException if something was not given back before: device or page-locked
   *     memory, streams, events, modules
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    synchronized (INSTALLING) {
      substitution.close();
      Machine.install(null);
    }
    List<String> leaks;
    synchronized (machine) {
      leaks = machine.leaksAtClose();
      machine.close();
    }
    if (!leaks.isEmpty()) {
      throw new IllegalStateException(
          "not given back to the simulated driver:\n" + String.join("\n", leaks));
    }
  }
}
