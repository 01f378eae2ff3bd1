package dev.heddle.parallel.comm.mpi;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.mpi.Mpi;
import dev.heddle.parallel.comm.CommunicationException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * The few functions of MPI that are used, with statuses turned into exceptions. All are called by
 * one thread, the one that initialised MPI.
 */
final class MpiLibrary {
  private static final String UCX_SIGNALS = "UCX_ERROR_SIGNALS";

  private final Arena arena = Arena.ofConfined();
  private final MemorySegment flag = arena.allocate(ValueLayout.JAVA_INT);
  private final MemorySegment byteType;

  private MpiLibrary() {
    byteType = Mpi.ompi_mpi_byte();
  }

  /**
   * Starts MPI in this process.
   *
   * @throws IllegalStateException if Open MPI is not there, saying where it was looked for
   */
  static MpiLibrary initialise() {
    NativeLibrary.MPI.require();
    leaveSignalsToTheJvm();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment provided = scratch.allocate(ValueLayout.JAVA_INT);
      MpiLibrary library = new MpiLibrary();
      // Other threads never call MPI, so more than this would only cost locks.
      check(
          "MPI_Init_thread",
          Mpi.MPI_Init_thread(
              MemorySegment.NULL, MemorySegment.NULL, Mpi.MPI_THREAD_SERIALIZED(), provided));
      library.returnErrors(library.world());
      return library;
    }
  }

  /** The library's name and version, up to its first comma; needs no started MPI. */
  static Optional<String> version() {
    if (!NativeLibrary.MPI.isAvailable()) {
      return Optional.empty();
    }
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment text = scratch.allocate(Mpi.MPI_MAX_LIBRARY_VERSION_STRING() + 1L);
      MemorySegment length = scratch.allocate(ValueLayout.JAVA_INT);
      check("MPI_Get_library_version", Mpi.MPI_Get_library_version(text, length));
      String words = text.getString(0);
      int comma = words.indexOf(',');
      return Optional.of(comma < 0 ? words : words.substring(0, comma));
    }
  }

  /**
   * UCX, a transport of Open MPI, takes over the signals with which the JVM notices null pointers;
   * the first one would then end the process. An empty list of signals keeps it from that, unless
   * the user has said otherwise.
   */
  private static void leaveSignalsToTheJvm() {
    if (System.getenv(UCX_SIGNALS) != null) {
      return;
    }
    SymbolLookup system = Linker.nativeLinker().defaultLookup();
    MemorySegment function = system.find("setenv").orElse(MemorySegment.NULL);
    if (function.address() == 0) {
      return;
    }
    FunctionDescriptor form =
        FunctionDescriptor.of(
            ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT);
    try (Arena scratch = Arena.ofConfined()) {
      int unused =
          (int)
              Linker.nativeLinker()
                  .downcallHandle(function, form)
                  .invokeExact(scratch.allocateFrom(UCX_SIGNALS), scratch.allocateFrom(""), 0);
    } catch (Throwable thrown) {
      throw new IllegalStateException("setenv could not be called", thrown);
    }
  }

  // ---- communicators

  MemorySegment world() {
    return Mpi.ompi_mpi_comm_world();
  }

  int rank(MemorySegment communicator) {
    check("MPI_Comm_rank", Mpi.MPI_Comm_rank(communicator, flag));
    return flag.get(ValueLayout.JAVA_INT, 0);
  }

  int size(MemorySegment communicator) {
    check("MPI_Comm_size", Mpi.MPI_Comm_size(communicator, flag));
    return flag.get(ValueLayout.JAVA_INT, 0);
  }

  /** The communicator of those that give the same {@code colour}, in their present order. */
  MemorySegment split(MemorySegment communicator, int colour, int key) {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment made = scratch.allocate(ValueLayout.ADDRESS);
      check("MPI_Comm_split", Mpi.MPI_Comm_split(communicator, colour, key, made));
      MemorySegment result = made.get(ValueLayout.ADDRESS, 0);
      returnErrors(result);
      return result;
    }
  }

  /** The communicator of those that share this one's host. */
  MemorySegment sameHost(MemorySegment communicator) {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment made = scratch.allocate(ValueLayout.ADDRESS);
      check(
          "MPI_Comm_split_type",
          Mpi.MPI_Comm_split_type(
              communicator, Mpi.MPI_COMM_TYPE_SHARED(), 0, Mpi.ompi_mpi_info_null(), made));
      return made.get(ValueLayout.ADDRESS, 0);
    }
  }

  void free(MemorySegment communicator) {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment handle = scratch.allocate(ValueLayout.ADDRESS);
      handle.set(ValueLayout.ADDRESS, 0, communicator);
      check("MPI_Comm_free", Mpi.MPI_Comm_free(handle));
    }
  }

  private void returnErrors(MemorySegment communicator) {
    check(
        "MPI_Comm_set_errhandler",
        Mpi.MPI_Comm_set_errhandler(communicator, Mpi.ompi_mpi_errors_return()));
  }

  /** Everybody's {@code text} becomes that of rank 0. */
  String broadcast(String text, MemorySegment communicator) {
    try (Arena scratch = Arena.ofConfined()) {
      byte[] own = text.getBytes(StandardCharsets.UTF_8);
      MemorySegment length = scratch.allocate(ValueLayout.JAVA_INT);
      length.set(ValueLayout.JAVA_INT, 0, own.length);
      check("MPI_Bcast", Mpi.MPI_Bcast(length, Integer.BYTES, byteType, 0, communicator));
      byte[] bytes = new byte[length.get(ValueLayout.JAVA_INT, 0)];
      MemorySegment data = scratch.allocate(Math.max(1, bytes.length));
      if (rank(communicator) == 0) {
        MemorySegment.copy(own, 0, data, ValueLayout.JAVA_BYTE, 0, own.length);
      }
      check("MPI_Bcast", Mpi.MPI_Bcast(data, bytes.length, byteType, 0, communicator));
      MemorySegment.copy(data, ValueLayout.JAVA_BYTE, 0, bytes, 0, bytes.length);
      return new String(bytes, StandardCharsets.UTF_8);
    }
  }

  // ---- messages

  /** Starts a send; {@code request} is where its handle goes. */
  void send(
      MemorySegment data,
      int bytes,
      int to,
      int tag,
      MemorySegment communicator,
      MemorySegment request) {
    check("MPI_Isend", Mpi.MPI_Isend(data, bytes, byteType, to, tag, communicator, request));
  }

  /** Starts a receive; {@code request} is where its handle goes. */
  void receive(
      MemorySegment data,
      int bytes,
      int from,
      int tag,
      MemorySegment communicator,
      MemorySegment request) {
    check("MPI_Irecv", Mpi.MPI_Irecv(data, bytes, byteType, from, tag, communicator, request));
  }

  /** Whether what {@code request} stands for is complete; asking makes progress on everything. */
  boolean test(MemorySegment request) {
    check("MPI_Test", Mpi.MPI_Test(request, flag, MemorySegment.NULL));
    return flag.get(ValueLayout.JAVA_INT, 0) != 0;
  }

  /** Takes a receive back that nothing has come for. */
  void cancel(MemorySegment request) {
    check("MPI_Cancel", Mpi.MPI_Cancel(request));
    check("MPI_Wait", Mpi.MPI_Wait(request, MemorySegment.NULL));
  }

  // ---- the end

  void shutDown() {
    check("MPI_Finalize", Mpi.MPI_Finalize());
    arena.close();
  }

  /** Ends all processes of the job, this one included. */
  void abort(int exitCode) {
    int unused = Mpi.MPI_Abort(world(), exitCode);
  }

  private static void check(String function, int status) {
    if (status != 0) {
      throw new CommunicationException(function + " failed: " + words(status), null);
    }
  }

  private static String words(int status) {
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment text = scratch.allocate(Mpi.MPI_MAX_ERROR_STRING() + 1L);
      MemorySegment length = scratch.allocate(ValueLayout.JAVA_INT);
      int failed = Mpi.MPI_Error_string(status, text, length);
      return failed == 0 ? text.getString(0) : "status " + status;
    }
  }
}
