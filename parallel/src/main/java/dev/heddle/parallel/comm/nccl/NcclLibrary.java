package dev.heddle.parallel.comm.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.bindings.nccl.ncclConfig_t;
import dev.heddle.bindings.nccl.ncclUniqueId;
import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** NCCL itself: whether it is there, how its values are written, and what its statuses mean. */
final class NcclLibrary {
  /** 2.18, the first version that splits communicators. */
  static final int MINIMUM_VERSION = 21_800;

  private static final int CONFIG_MAGIC = 0xcafebeef;
  private static final int ID_LONGS = Nccl.NCCL_UNIQUE_ID_BYTES() / Long.BYTES;

  private NcclLibrary() {}

  /**
   * Does nothing if NCCL is there and new enough.
   *
   * @throws IllegalStateException if not, with every name tried and what to do
   */
  static void require() {
    NativeLibrary.NCCL.require();
    int version = version();
    if (version < MINIMUM_VERSION) {
      throw new IllegalStateException(
          "NCCL at "
              + NativeLibrary.NCCL.location().orElse("an unknown place")
              + " is version "
              + versionText(version)
              + ", wanted "
              + versionText(MINIMUM_VERSION)
              + " or newer: install a newer libnccl2, or name another one with -Dheddle.nccl=PATH");
    }
  }

  private static int version() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment version = arena.allocate(JAVA_INT);
      check(Nccl.ncclGetVersion(version), "ncclGetVersion", "", MemorySegment.NULL);
      return version.get(JAVA_INT, 0);
    }
  }

  /** 22907 as {@code 2.29.7}. */
  static String versionText(int version) {
    return version / 10_000 + "." + version % 10_000 / 100 + "." + version % 100;
  }

  /** The version in words; empty if there is no NCCL, which is then not an error. */
  static Optional<String> describe() {
    return NativeLibrary.NCCL.isAvailable()
        ? Optional.of("NCCL " + versionText(version()))
        : Optional.empty();
  }

  // ---- values

  /** A new identifier of a group, as numbers that host collectives carry. */
  static long[] uniqueId() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment id = ncclUniqueId.allocate(arena);
      check(Nccl.ncclGetUniqueId(id), "ncclGetUniqueId", "", MemorySegment.NULL);
      long[] numbers = new long[ID_LONGS];
      MemorySegment.copy(id, 0, MemorySegment.ofArray(numbers), 0, Nccl.NCCL_UNIQUE_ID_BYTES());
      return numbers;
    }
  }

  /** The identifier as NCCL takes it. */
  static MemorySegment uniqueId(long[] numbers, Arena arena) {
    MemorySegment id = ncclUniqueId.allocate(arena);
    MemorySegment.copy(MemorySegment.ofArray(numbers), 0, id, 0, Nccl.NCCL_UNIQUE_ID_BYTES());
    return id;
  }

  /**
   * The settings of a communicator: what NCCL's initializer macro writes, which has no binding.
   *
   * @param name what NCCL's own log calls it
   * @param mostBlocks thread blocks that its kernels may take; 0 for as many as NCCL likes
   */
  static MemorySegment config(Arena arena, String name, int mostBlocks) {
    MemorySegment config = ncclConfig_t.allocate(arena).fill((byte) 0);
    int undefined = Nccl.NCCL_CONFIG_UNDEF_INT();
    ncclConfig_t.size(config, ncclConfig_t.layout().byteSize());
    ncclConfig_t.magic(config, CONFIG_MAGIC);
    ncclConfig_t.version(config, Nccl.NCCL_VERSION_CODE());
    ncclConfig_t.blocking(config, 1);
    ncclConfig_t.cgaClusterSize(config, undefined);
    ncclConfig_t.minCTAs(config, mostBlocks == 0 ? undefined : 1);
    ncclConfig_t.maxCTAs(config, mostBlocks == 0 ? undefined : mostBlocks);
    ncclConfig_t.splitShare(config, undefined);
    ncclConfig_t.trafficClass(config, undefined);
    ncclConfig_t.commName(config, arena.allocateFrom(name));
    ncclConfig_t.collnetEnable(config, undefined);
    ncclConfig_t.CTAPolicy(config, undefined);
    ncclConfig_t.shrinkShare(config, undefined);
    ncclConfig_t.nvlsCTAs(config, undefined);
    ncclConfig_t.nChannelsPerNetPeer(config, undefined);
    ncclConfig_t.nvlinkCentricSched(config, undefined);
    ncclConfig_t.graphUsageMode(config, undefined);
    ncclConfig_t.numRmaCtx(config, undefined);
    return config;
  }

  /** NCCL's number for a dtype. */
  static int type(DType dtype) {
    return switch (dtype) {
      case F32 -> Nccl.ncclFloat32();
      case F64 -> Nccl.ncclFloat64();
      case BF16 -> Nccl.ncclBfloat16();
      case I32 -> Nccl.ncclInt32();
      case I64 -> Nccl.ncclInt64();
      case U8 -> Nccl.ncclUint8();
    };
  }

  /** NCCL's number for a reduction. */
  static int op(ReduceOp op) {
    return switch (op) {
      case SUM -> Nccl.ncclSum();
      case MAX -> Nccl.ncclMax();
      case MIN -> Nccl.ncclMin();
    };
  }

  // ---- errors

  /**
   * Does nothing if {@code status} is success.
   *
   * @param where the group, for the message
   * @param communicator whose last error is told, or NULL
   */
  static void check(int status, String call, String where, MemorySegment communicator) {
    if (status != Nccl.ncclSuccess()) {
      throw failure(status, call, where, communicator);
    }
  }

  static CommunicationException failure(
      int status, String call, String where, MemorySegment communicator) {
    return new CommunicationException(
        call + (where.isEmpty() ? "" : " in " + where) + " failed: " + text(status, communicator),
        null);
  }

  /** What a status means, what NCCL says about it, and what to do. */
  static String text(int status, MemorySegment communicator) {
    String detail = string(Nccl.ncclGetLastError(communicator));
    return name(status)
        + " ("
        + string(Nccl.ncclGetErrorString(status))
        + ")"
        + (detail.isBlank() ? "" : ": " + detail.strip())
        + "; "
        + advice(status);
  }

  private static String name(int status) {
    if (status == Nccl.ncclUnhandledCudaError()) {
      return "ncclUnhandledCudaError";
    }
    if (status == Nccl.ncclSystemError()) {
      return "ncclSystemError";
    }
    if (status == Nccl.ncclInternalError()) {
      return "ncclInternalError";
    }
    if (status == Nccl.ncclInvalidArgument()) {
      return "ncclInvalidArgument";
    }
    if (status == Nccl.ncclInvalidUsage()) {
      return "ncclInvalidUsage";
    }
    if (status == Nccl.ncclRemoteError()) {
      return "ncclRemoteError";
    }
    return status == Nccl.ncclInProgress() ? "ncclInProgress" : "ncclResult " + status;
  }

  private static String advice(int status) {
    if (status == Nccl.ncclInvalidUsage()) {
      return "each rank needs a GPU of its own: check --ranks against nvidia-smi and"
          + " CUDA_VISIBLE_DEVICES";
    }
    if (status == Nccl.ncclRemoteError()) {
      return "another rank has ended or lost its connection: look for the first error in its log";
    }
    if (status == Nccl.ncclSystemError()) {
      return "a call to the system failed: set NCCL_DEBUG=WARN to see which; in a container give it"
          + " shared memory (docker run --ipc=host) and name the network with NCCL_SOCKET_IFNAME";
    }
    return "set NCCL_DEBUG=WARN and run again to see what NCCL met";
  }

  private static String string(MemorySegment text) {
    return text.address() == 0 ? "" : text.reinterpret(Long.MAX_VALUE).getString(0);
  }

  // ---- states

  /** The error that came up meanwhile, or success; {@code ncclInProgress} counts as success. */
  static int asynchronousError(MemorySegment communicator) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment status = arena.allocate(JAVA_INT);
      int asked = Nccl.ncclCommGetAsyncError(communicator, status);
      int found = asked == Nccl.ncclSuccess() ? status.get(JAVA_INT, 0) : asked;
      return found == Nccl.ncclInProgress() ? Nccl.ncclSuccess() : found;
    }
  }

  /** A pointer that a call writes. */
  static MemorySegment pointer(Arena arena) {
    return arena.allocate(ADDRESS);
  }

  /** What a call wrote there. */
  static MemorySegment read(MemorySegment pointer) {
    return MemorySegment.ofAddress(pointer.get(JAVA_LONG.withByteAlignment(8), 0));
  }
}
