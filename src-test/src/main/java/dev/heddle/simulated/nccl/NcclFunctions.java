package dev.heddle.simulated.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.bindings.nccl.ncclConfig_t;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.memory.DeviceMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/** NCCL's functions, by their names. Calls of several threads take turns with the driver's. */
@SuppressWarnings("MethodName")
final class NcclFunctions {
  private static final int ID_LONGS = Nccl.NCCL_UNIQUE_ID_BYTES() / Long.BYTES;
  private static final int CONFIG_MAGIC = 0xcafebeef;
  private static final int TEXT_BYTES = 4096;

  private static final MemorySegment LAST_ERROR = Arena.global().allocate(TEXT_BYTES);
  private static final Map<Integer, MemorySegment> ERROR_STRINGS = new TreeMap<>();

  /** A call of a group that is open on a thread. */
  private record Pending(Communicator communicator, MemorySegment stream, Call call) {}

  /** The open groups of a thread, one within the other. */
  private static final class Group {
    int depth;
    int failed;
    final List<Pending> calls = new ArrayList<>();
  }

  private static final ThreadLocal<Group> GROUPS = ThreadLocal.withInitial(Group::new);

  private NcclFunctions() {}

  private static SimulatedNccl enter(String function) {
    SimulatedNccl nccl = SimulatedNccl.current();
    nccl.called(function);
    return nccl;
  }

  // ---- the library

  static int ncclGetVersion(MemorySegment version) {
    version.set(JAVA_INT, 0, SimulatedNccl.VERSION);
    return 0;
  }

  static MemorySegment ncclGetErrorString(int status) {
    synchronized (ERROR_STRINGS) {
      return ERROR_STRINGS.computeIfAbsent(
          status, key -> Arena.global().allocateFrom(errorString(key)));
    }
  }

  private static String errorString(int status) {
    return switch (status) {
      case 0 -> "no error";
      case 1 -> "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
      case 2 -> "unhandled system error (run with NCCL_DEBUG=INFO for details)";
      case 3 -> "internal error - please report this issue to the NCCL developers";
      case 4 -> "invalid argument (run with NCCL_DEBUG=WARN for details)";
      case 5 -> "invalid usage (run with NCCL_DEBUG=WARN for details)";
      case 6 -> "remote process exited or there was a network error";
      case 7 -> "NCCL operation in progress";
      default -> "unknown result code";
    };
  }

  static MemorySegment ncclGetLastError(MemorySegment communicator) {
    return LAST_ERROR;
  }

  static void lastError(String text) {
    synchronized (LAST_ERROR) {
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      int length = Math.min(bytes.length, TEXT_BYTES - 1);
      MemorySegment.copy(bytes, 0, LAST_ERROR, JAVA_BYTE, 0, length);
      LAST_ERROR.set(JAVA_BYTE, length, (byte) 0);
    }
  }

  static int ncclGetUniqueId(MemorySegment id) {
    SimulatedNccl nccl = enter("ncclGetUniqueId");
    return SimulatedGpus.exclusively(
        () -> {
          long[] numbers = nccl.newIdentifier(ID_LONGS);
          for (int i = 0; i < ID_LONGS; i++) {
            id.setAtIndex(JAVA_LONG_UNALIGNED, i, numbers[i]);
          }
          return 0;
        });
  }

  // ---- making communicators

  static int ncclCommInitRank(MemorySegment handle, int size, MemorySegment id, int rank) {
    return ncclCommInitRankConfig(handle, size, id, rank, MemorySegment.NULL);
  }

  static int ncclCommInitRankConfig(
      MemorySegment handle, int size, MemorySegment id, int rank, MemorySegment config) {
    SimulatedNccl nccl = enter("ncclCommInitRankConfig");
    String name = checkConfig(config);
    long[] numbers = new long[ID_LONGS];
    for (int i = 0; i < ID_LONGS; i++) {
      numbers[i] = id.getAtIndex(JAVA_LONG_UNALIGNED, i);
    }
    return SimulatedGpus.exclusively(
        () -> {
          if (rank < 0 || rank >= size) {
            throw NcclError.argument("rank " + rank + " of " + size);
          }
          Communicator made = nccl.clique(numbers, name, size).join(rank, currentDevice());
          handle.set(ADDRESS, 0, nccl.handle(made));
          return 0;
        });
  }

  private static int currentDevice() {
    int device = SimulatedGpus.currentDevice();
    if (device < 0) {
      throw new NcclError(
          Nccl.ncclUnhandledCudaError(),
          "no context is current on thread " + Thread.currentThread().getName());
    }
    return device;
  }

  /** Checks what NCCL checks of a configuration; the name in it. */
  private static String checkConfig(MemorySegment config) {
    if (config.address() == 0) {
      return "unnamed";
    }
    if (ncclConfig_t.magic(config) != CONFIG_MAGIC) {
      throw NcclError.argument(
          "ncclConfig_t argument not initialized via NCCL_CONFIG_INITIALIZER: magic 0x%x"
              .formatted(ncclConfig_t.magic(config)));
    }
    if (ncclConfig_t.size(config) != ncclConfig_t.layout().byteSize()
        || ncclConfig_t.version(config) != Nccl.NCCL_VERSION_CODE()) {
      throw NcclError.argument(
          "ncclConfig_t of %d bytes and version %d"
              .formatted(ncclConfig_t.size(config), ncclConfig_t.version(config)));
    }
    if (ncclConfig_t.blocking(config) != 1) {
      throw NcclError.argument("the simulated NCCL has blocking communicators only");
    }
    int most = ncclConfig_t.maxCTAs(config);
    if (most != Nccl.NCCL_CONFIG_UNDEF_INT() && (most < 1 || most < ncclConfig_t.minCTAs(config))) {
      throw NcclError.argument("minCTAs and maxCTAs of ncclConfig_t do not fit");
    }
    MemorySegment name = ncclConfig_t.commName(config);
    return name.address() == 0 ? "unnamed" : name.reinterpret(TEXT_BYTES).getString(0);
  }

  static int ncclCommSplit(
      MemorySegment parent, int color, int key, MemorySegment handle, MemorySegment config) {
    SimulatedNccl nccl = enter("ncclCommSplit");
    String name = checkConfig(config);
    return SimulatedGpus.exclusively(
        () -> {
          Communicator communicator = open(nccl, parent, "ncclCommSplit");
          Communicator made = communicator.clique.split(communicator, color, key, name);
          handle.set(ADDRESS, 0, made == null ? MemorySegment.NULL : nccl.handle(made));
          return 0;
        });
  }

  // ---- ending them

  static int ncclCommFinalize(MemorySegment handle) {
    SimulatedNccl nccl = enter("ncclCommFinalize");
    return SimulatedGpus.exclusively(
        () -> {
          Communicator communicator = open(nccl, handle, "ncclCommFinalize");
          if (!SimulatedGpus.await(
              "ncclCommFinalize of " + communicator, () -> hasFinished(communicator))) {
            throw NcclError.usage(communicator + " is finalized with work that never runs");
          }
          communicator.state = Communicator.State.FINALIZED;
          return 0;
        });
  }

  private static boolean hasFinished(Communicator communicator) {
    for (MemorySegment stream : communicator.streams) {
      SimulatedGpus.drive(stream, () -> communicator.finished == communicator.launched);
    }
    return communicator.finished == communicator.launched;
  }

  static int ncclCommDestroy(MemorySegment handle) {
    SimulatedNccl nccl = enter("ncclCommDestroy");
    return SimulatedGpus.exclusively(
        () -> {
          Communicator communicator = nccl.communicator(handle);
          if (communicator.finished != communicator.launched) {
            throw NcclError.usage(communicator + " is destroyed with work under way");
          }
          communicator.state = Communicator.State.DESTROYED;
          communicator.clique.leave(communicator);
          nccl.forget(handle);
          return 0;
        });
  }

  static int ncclCommAbort(MemorySegment handle) {
    SimulatedNccl nccl = enter("ncclCommAbort");
    return SimulatedGpus.exclusively(
        () -> {
          Communicator communicator = nccl.communicator(handle);
          communicator.state = Communicator.State.ABORTED;
          communicator.clique.leave(communicator);
          nccl.forget(handle);
          SimulatedGpus.wake();
          return 0;
        });
  }

  // ---- questions

  static int ncclCommGetAsyncError(MemorySegment handle, MemorySegment status) {
    SimulatedNccl nccl = enter("ncclCommGetAsyncError");
    return SimulatedGpus.exclusively(
        () -> {
          status.set(JAVA_INT, 0, nccl.communicator(handle).asynchronousError);
          return 0;
        });
  }

  static int ncclCommCount(MemorySegment handle, MemorySegment count) {
    return answer("ncclCommCount", handle, count, communicator -> communicator.clique.size);
  }

  static int ncclCommCuDevice(MemorySegment handle, MemorySegment device) {
    return answer("ncclCommCuDevice", handle, device, communicator -> communicator.device);
  }

  static int ncclCommUserRank(MemorySegment handle, MemorySegment rank) {
    return answer("ncclCommUserRank", handle, rank, communicator -> communicator.rank);
  }

  private static int answer(
      String function,
      MemorySegment handle,
      MemorySegment to,
      ToIntFunction<Communicator> question) {
    SimulatedNccl nccl = enter(function);
    return SimulatedGpus.exclusively(
        () -> {
          to.set(JAVA_INT, 0, question.applyAsInt(nccl.communicator(handle)));
          return 0;
        });
  }

  private static Communicator open(SimulatedNccl nccl, MemorySegment handle, String function) {
    Communicator communicator = nccl.communicator(handle);
    if (communicator.state != Communicator.State.OPEN) {
      throw NcclError.usage(function + " on " + communicator + ", which is finalized");
    }
    return communicator;
  }

  // ---- groups

  static int ncclGroupStart() {
    enter("ncclGroupStart");
    GROUPS.get().depth++;
    return 0;
  }

  static int ncclGroupEnd() {
    enter("ncclGroupEnd");
    Group group = GROUPS.get();
    if (group.depth == 0) {
      throw NcclError.usage("ncclGroupEnd without ncclGroupStart");
    }
    if (--group.depth > 0) {
      return 0;
    }
    int failed = group.failed;
    List<Pending> calls = List.copyOf(group.calls);
    group.failed = 0;
    group.calls.clear();
    if (failed != 0) {
      return failed;
    }
    if (!calls.isEmpty()) {
      launch(calls);
    }
    return 0;
  }

  private static void launch(List<Pending> calls) {
    record Place(Communicator communicator, MemorySegment stream) {}
    Map<Place, List<Call>> places = new LinkedHashMap<>();
    for (Pending pending : calls) {
      places
          .computeIfAbsent(
              new Place(pending.communicator, pending.stream), key -> new ArrayList<>())
          .add(pending.call);
    }
    SimulatedGpus.exclusively(
        () -> {
          connect(calls);
          places.forEach((place, part) -> launch(place.communicator, place.stream, part));
          return null;
        });
  }

  /** The first message between two ranks waits on the host for the other one's call. */
  private static void connect(List<Pending> calls) {
    List<BooleanSupplier> connections = new ArrayList<>();
    for (Pending pending : calls) {
      if (pending.call.isMessage()) {
        connections.add(pending.communicator.clique.connect(pending.communicator, pending.call));
      }
    }
    SimulatedGpus.wake();
    boolean connected =
        SimulatedGpus.await(
            "connecting for " + calls.get(0).call + " by " + calls.get(0).communicator,
            () -> isAborted(calls) || connections.stream().allMatch(BooleanSupplier::getAsBoolean));
    if (isAborted(calls)) {
      throw new NcclError(Nccl.ncclInternalError(), calls.get(0).communicator + " was aborted");
    }
    if (!connected) {
      throw new NcclError(
          Nccl.ncclSystemError(),
          calls.get(0).call
              + " by "
              + calls.get(0).communicator
              + " waits on the host to connect with a rank that makes no such call; let all ranks"
              + " connect before they go separate ways");
    }
  }

  private static boolean isAborted(List<Pending> calls) {
    return calls.stream().anyMatch(each -> each.communicator.state == Communicator.State.ABORTED);
  }

  private static @Nullable Void launch(
      Communicator communicator, MemorySegment stream, List<Call> calls) {
    boolean captured = SimulatedGpus.isCaptured(stream);
    communicator.captured |= captured;
    communicator.streams.add(stream);
    Launch launch = new Launch(communicator, calls, captured ? -1 : communicator.launched++);
    int status =
        SimulatedGpus.queue(
            stream, calls.get(0).kind().function, launch + " by " + communicator, launch);
    if (status != 0) {
      communicator.launched -= captured ? 0 : 1;
      throw new NcclError(
          Nccl.ncclUnhandledCudaError(), launch + ": the stream answered CUresult " + status);
    }
    communicator.clique.launched(communicator);
    return null;
  }

  private static int give(
      String function,
      MemorySegment handle,
      MemorySegment stream,
      Function<Communicator, Call> make) {
    SimulatedNccl nccl = enter(function);
    Group group = GROUPS.get();
    try {
      Communicator communicator = SimulatedGpus.exclusively(() -> open(nccl, handle, function));
      Call call = make.apply(communicator);
      check(communicator, call);
      Pending pending = new Pending(communicator, MemorySegment.ofAddress(stream.address()), call);
      if (group.depth > 0) {
        group.calls.add(pending);
      } else {
        launch(List.of(pending));
      }
      return 0;
    } catch (NcclError refused) {
      if (group.depth > 0) {
        group.failed = refused.status();
      }
      throw refused;
    }
  }

  private static void check(Communicator communicator, Call call) {
    int size = communicator.clique.size;
    if (call.count() < 0) {
      throw NcclError.argument(call + " by " + communicator);
    }
    boolean hasPeer =
        call.isMessage() || call.kind() == Call.Kind.REDUCE || call.kind() == Call.Kind.BROADCAST;
    if (hasPeer && (call.peer() < 0 || call.peer() >= size)) {
      throw NcclError.argument(call + " by " + communicator + ": there are " + size + " ranks");
    }
    boolean isRoot = call.peer() == communicator.rank;
    boolean reads =
        call.kind() != Call.Kind.RECEIVE && (call.kind() != Call.Kind.BROADCAST || isRoot);
    boolean writes = call.kind() != Call.Kind.SEND && (call.kind() != Call.Kind.REDUCE || isRoot);
    if (reads && call.bytesRead(size) > 0) {
      checkPointer(communicator, call, call.from());
    }
    if (writes && call.bytesWritten(size) > 0) {
      checkPointer(communicator, call, call.to());
    }
  }

  private static void checkPointer(Communicator communicator, Call call, long address) {
    if (DeviceMemory.deviceOf(address) != communicator.device) {
      throw NcclError.argument(
          "%s by %s: 0x%x is no memory of its GPU".formatted(call, communicator, address));
    }
    if (address % call.type().byteSize != 0) {
      throw NcclError.argument(
          "%s by %s: 0x%x is not aligned".formatted(call, communicator, address));
    }
  }

  // ---- calls that move data

  static int ncclAllReduce(
      MemorySegment from,
      MemorySegment to,
      long count,
      int type,
      int op,
      MemorySegment communicator,
      MemorySegment stream) {
    return give(
        "ncclAllReduce",
        communicator,
        stream,
        each -> call(Call.Kind.ALL_REDUCE, from, to, count, type, op, -1));
  }

  static int ncclReduce(
      MemorySegment from,
      MemorySegment to,
      long count,
      int type,
      int op,
      int root,
      MemorySegment communicator,
      MemorySegment stream) {
    return give(
        "ncclReduce",
        communicator,
        stream,
        each -> call(Call.Kind.REDUCE, from, to, count, type, op, root));
  }

  static int ncclBroadcast(
      MemorySegment from,
      MemorySegment to,
      long count,
      int type,
      int root,
      MemorySegment communicator,
      MemorySegment stream) {
    return give(
        "ncclBroadcast",
        communicator,
        stream,
        each -> call(Call.Kind.BROADCAST, from, to, count, type, -1, root));
  }

  static int ncclAllGather(
      MemorySegment from,
      MemorySegment to,
      long count,
      int type,
      MemorySegment communicator,
      MemorySegment stream) {
    return give(
        "ncclAllGather",
        communicator,
        stream,
        each -> call(Call.Kind.ALL_GATHER, from, to, count, type, -1, -1));
  }

  static int ncclReduceScatter(
      MemorySegment from,
      MemorySegment to,
      long count,
      int type,
      int op,
      MemorySegment communicator,
      MemorySegment stream) {
    return give(
        "ncclReduceScatter",
        communicator,
        stream,
        each -> call(Call.Kind.REDUCE_SCATTER, from, to, count, type, op, -1));
  }

  static int ncclSend(
      MemorySegment from,
      long count,
      int type,
      int peer,
      MemorySegment communicator,
      MemorySegment stream) {
    return give(
        "ncclSend",
        communicator,
        stream,
        each -> call(Call.Kind.SEND, from, MemorySegment.NULL, count, type, -1, peer));
  }

  static int ncclRecv(
      MemorySegment to,
      long count,
      int type,
      int peer,
      MemorySegment communicator,
      MemorySegment stream) {
    return give(
        "ncclRecv",
        communicator,
        stream,
        each -> call(Call.Kind.RECEIVE, MemorySegment.NULL, to, count, type, -1, peer));
  }

  private static Call call(
      Call.Kind kind,
      MemorySegment from,
      MemorySegment to,
      long count,
      int type,
      int op,
      int peer) {
    return new Call(
        Objects.requireNonNull(kind),
        from.address(),
        to.address(),
        count,
        ElementKind.of(type),
        op < 0 ? null : ReductionKind.of(op),
        peer);
  }
}
