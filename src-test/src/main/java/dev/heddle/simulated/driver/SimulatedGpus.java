package dev.heddle.simulated.driver;

import dev.heddle.bindings.NativeLibrary;
import java.lang.foreign.MemorySegment;
import java.util.List;

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
                  boolean ran = task.run(gpu::at);
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
