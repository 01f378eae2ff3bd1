package dev.heddle.simulated.nccl;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.simulated.driver.SimulatedGpus;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A simulated NCCL 2.29 in the place of the library, until closed. It works on the simulated GPUs
 * that are installed when it is called:
 *
 * <pre>{@code
 * try (SimulatedGpus gpus = SimulatedGpus.install(2, SimulatedOptions.lazily());
 *     SimulatedNccl nccl = SimulatedNccl.install()) {
 *   LocalWorld.run(2, ranks -> ... NcclWorld.run(ranks, device, program) ...);
 *   assertThat(nccl.calls("ncclAllReduce")).isEqualTo(2);
 * }
 * }</pre>
 *
 * <p>It joins the GPUs of one process, or with {@link #installAcrossProcesses} those of several on
 * this host.
 *
 * <p>One installation at a time in a JVM, before anything calls the real library.
 */
public final class SimulatedNccl implements AutoCloseable {
  /** 2.29.7. */
  static final int VERSION = 22_907;

  private static final long FIRST_HANDLE = 0x5200_0000_0000L;

  /** First word of an identifier that names a hub. */
  private static final long HUB = 0x4855_4200_0000_0001L;

  private static volatile @Nullable SimulatedNccl installed;

  private final Map<Long, Communicator> handles = new LinkedHashMap<>();
  private final Map<List<Long>, LocalClique> cliques = new HashMap<>();
  private final Set<Integer> devices = new TreeSet<>();
  private final List<List<Long>> identifiers = new ArrayList<>();
  private final List<String> complaints = new ArrayList<>();
  private final Map<String, Integer> calls = new TreeMap<>();
  private long nextHandle = FIRST_HANDLE;
  private long nextIdentifier = 1;
  private final boolean acrossProcesses;
  private @Nullable Hub hub;
  private final NativeLibrary.Substitution substitution;

  private SimulatedNccl(boolean acrossProcesses) {
    this.acrossProcesses = acrossProcesses;
    substitution = NativeLibrary.NCCL.substitute(NcclStubs.INSTANCE);
  }

  /**
   * Puts it in the place of {@code libnccl}.
   *
   * @throws IllegalStateException if it is there already
   */
  public static SimulatedNccl install() {
    return install(false);
  }

  /**
   * Puts one in the place of {@code libnccl} whose communicators may have ranks in several
   * processes of this host, each of which calls this. Every identifier says where the process is
   * that made it: there the ranks meet, over the loopback interface.
   *
   * @throws IllegalStateException if one is there already
   */
  public static SimulatedNccl installAcrossProcesses() {
    return install(true);
  }

  private static synchronized SimulatedNccl install(boolean acrossProcesses) {
    if (installed != null) {
      throw new IllegalStateException(
          "a simulated NCCL is installed already; close it first (tests that use it do not run at"
              + " the same time)");
    }
    SimulatedNccl made = new SimulatedNccl(acrossProcesses);
    installed = made;
    return made;
  }

  static SimulatedNccl current() {
    SimulatedNccl current = installed;
    if (current == null) {
      throw NcclError.usage("the simulated NCCL is called while it is not installed");
    }
    return current;
  }

  static @Nullable SimulatedNccl currentOrNull() {
    return installed;
  }

  // ---- what tests ask

  /** How often a function was called. */
  public synchronized int calls(String function) {
    return calls.getOrDefault(function, 0);
  }

  /** Calls of all functions, by name. */
  public synchronized Map<String, Integer> calls() {
    return Map.copyOf(calls);
  }

  /** Each call that was refused, with the reason, in order. */
  public synchronized List<String> complaints() {
    return List.copyOf(complaints);
  }

  /** The GPUs, of this process, that communicators were made for. */
  public Set<Integer> devices() {
    return SimulatedGpus.exclusively(() -> Set.copyOf(devices));
  }

  /** Makes all communicators of a GPU report an asynchronous error from now on. */
  public void failAsynchronously(int device, int status) {
    SimulatedGpus.exclusively(
        () -> {
          for (Communicator communicator : handles.values()) {
            if (communicator.device == device) {
              communicator.asynchronousError = status;
            }
          }
          return null;
        });
  }

  /** Communicators that were made and neither destroyed nor aborted. */
  public List<String> openCommunicators() {
    return SimulatedGpus.exclusively(
        () -> handles.values().stream().map(Communicator::toString).toList());
  }

  synchronized void called(String function) {
    calls.merge(function, 1, Integer::sum);
  }

  synchronized void complain(String text) {
    complaints.add(text);
    System.getLogger("dev.heddle.simulated.nccl")
        .log(System.Logger.Level.DEBUG, "simulated NCCL: {0}", text);
  }

  // ---- handles and identifiers; the simulated GPUs' lock is held

  MemorySegment handle(Communicator communicator) {
    nextHandle += 16;
    handles.put(nextHandle, communicator);
    devices.add(communicator.device);
    return MemorySegment.ofAddress(nextHandle);
  }

  Communicator communicator(MemorySegment handle) {
    Communicator found = handles.get(handle.address());
    if (found == null) {
      throw NcclError.argument(
          "0x%x is no communicator; it was destroyed, aborted, or never made"
              .formatted(handle.address()));
    }
    return found;
  }

  void forget(MemorySegment handle) {
    handles.remove(handle.address());
  }

  /** A new identifier, as long as NCCL's. */
  long[] newIdentifier(int longs) {
    long[] identifier = new long[longs];
    if (acrossProcesses) {
      Hub opened = openHub();
      identifier[0] = HUB;
      identifier[1] = opened.port();
      identifier[2] = opened.newClique();
      return identifier;
    }
    Arrays.fill(identifier, 0x5EED_0000_0000_0000L + nextIdentifier++);
    identifiers.add(Arrays.stream(identifier).boxed().toList());
    return identifier;
  }

  private Hub openHub() {
    Hub opened = hub;
    if (opened == null) {
      try {
        opened = new Hub();
      } catch (IOException refused) {
        throw new NcclError(Nccl.ncclSystemError(), "no port to meet at: " + refused);
      }
      hub = opened;
    }
    return opened;
  }

  /** The clique that meets by an identifier. */
  Clique clique(long[] identifier, String name, int size) {
    if (acrossProcesses) {
      if (identifier[0] != HUB) {
        throw NcclError.argument("the identifier is not one of ncclGetUniqueId");
      }
      return new RemoteClique((int) identifier[1], identifier[2], name, size);
    }
    List<Long> key = Arrays.stream(identifier).boxed().toList();
    if (!identifiers.contains(key)) {
      throw NcclError.argument("the identifier is not one of ncclGetUniqueId");
    }
    LocalClique clique = cliques.computeIfAbsent(key, id -> new LocalClique(name, size));
    if (clique.size != size) {
      throw NcclError.argument(
          "a communicator of " + size + " ranks, which another rank makes of " + clique.size);
    }
    return clique;
  }

  /**
   * Takes it away.
   *
   * @throws IllegalStateException if communicators were neither destroyed nor aborted
   */
  @Override
  public void close() {
    synchronized (SimulatedNccl.class) {
      if (installed != this) {
        return;
      }
      installed = null;
    }
    substitution.close();
    Hub opened = hub;
    if (opened != null) {
      opened.close();
    }
    if (!handles.isEmpty()) {
      throw new IllegalStateException(
          "communicators that were neither destroyed nor aborted: " + handles.values());
    }
  }
}
