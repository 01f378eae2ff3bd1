package dev.heddle.parallel.comm.nccl;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaEvent;
import dev.heddle.runtime.cuda.CudaStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * An {@code ncclComm_t} with the stream that all its work is on. NCCL wants the members' calls in
 * one order, which one stream gives; what runs here waits for the work that the device had when it
 * was launched, and the device waits for it by a {@link Mark}.
 *
 * <p>Launches come from the rank's thread; {@link #abort}, {@link #overdue} and {@link
 * #asynchronousError} from the watchdog as well, which is why all methods take turns.
 */
final class NativeCommunicator {
  /** Marks that rest before their event is used again, so that the watchdog can still ask them. */
  private static final int RESTING_MARKS = 32;

  /** NCCL calls of one operation. */
  @FunctionalInterface
  interface Calls {
    /** Makes the calls, each checked by {@link NativeCommunicator#check}. */
    void make(MemorySegment communicator, MemorySegment stream);
  }

  /** The end of an operation on the stream. */
  static final class Mark {
    final NativeCommunicator owner;
    final CudaEvent event;
    private boolean reused;

    private Mark(NativeCommunicator owner, CudaEvent event) {
      this.owner = owner;
      this.event = event;
    }

    /** Whether the host can see that it is reached. */
    boolean isDone() {
      return event.isDone();
    }

    /** The device waits for it already, so that the event may mark something else later. */
    void rest() {
      owner.rest(this);
    }
  }

  private record Flight(Mark mark, NcclOperation operation, long deadlineNanos) {}

  private final CudaDevice device;
  private final String where;
  private volatile MemorySegment address;
  private @Nullable CudaStream stream;
  private @Nullable CudaEvent ready;
  private final ArrayDeque<Mark> resting = new ArrayDeque<>();
  private final ArrayDeque<CudaEvent> events = new ArrayDeque<>();
  private final ArrayDeque<Flight> flights = new ArrayDeque<>();
  private long overdueSince;

  private NativeCommunicator(CudaDevice device, String where, MemorySegment address) {
    this.device = device;
    this.where = where;
    this.address = address;
  }

  /** Meets the other members, who all call this; returns when NCCL has connected them. */
  static NativeCommunicator meet(
      CudaDevice device, String where, int size, int rank, long[] uniqueId) {
    device.context().makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = NcclLibrary.pointer(arena);
      MemorySegment id = NcclLibrary.uniqueId(uniqueId, arena);
      MemorySegment config = NcclLibrary.config(arena, where, 0);
      int status = Nccl.ncclCommInitRankConfig(pointer, size, id, rank, config);
      NcclLibrary.check(status, "ncclCommInitRankConfig", where, MemorySegment.NULL);
      return new NativeCommunicator(device, where, NcclLibrary.read(pointer));
    }
  }

  /** Another communicator of the same members, who all call this. */
  NativeCommunicator again(int rank, int mostBlocks) {
    device.context().makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = NcclLibrary.pointer(arena);
      MemorySegment config = NcclLibrary.config(arena, where, mostBlocks);
      check(Nccl.ncclCommSplit(address, 0, rank, pointer, config), "ncclCommSplit");
      return new NativeCommunicator(device, where, NcclLibrary.read(pointer));
    }
  }

  void check(int status, String call) {
    if (status != Nccl.ncclSuccess()) {
      throw NcclLibrary.failure(status, call, where, address);
    }
  }

  // ---- work

  /**
   * Launches calls as one NCCL group: after the device's work so far, and before what waits for the
   * mark that is returned.
   *
   * @param timeoutNanos how long from now it may take before it counts as overdue
   */
  synchronized Mark launch(NcclOperation operation, long timeoutNanos, Calls calls) {
    if (isGone()) {
      throw new IllegalStateException("NCCL communicator of " + where + " is used after its end");
    }
    CudaStream ours = openStream();
    CudaEvent before = openReady();
    device.stream().record(before);
    ours.waitFor(before);
    group(calls, ours.address());
    Mark mark = mark();
    ours.record(mark.event);
    // What is recorded into a graph does not run now, and the driver refuses to be asked about it.
    if (!device.stream().isCapturing()) {
      flights.addLast(new Flight(mark, operation, System.nanoTime() + timeoutNanos));
    }
    return mark;
  }

  /**
   * Makes calls for the sake of the connections that NCCL makes for them; later work of the device
   * waits for them. All members do this together: NCCL connects two ranks in the first call that
   * needs it, on the host, and waits there for the other one. Not one of the methods that take
   * turns: {@link #abort} must get through while this waits, and ends the wait.
   */
  void connect(Calls calls) {
    CudaStream ours = openStream();
    CudaEvent mark = openReady();
    device.stream().record(mark);
    ours.waitFor(mark);
    group(calls, ours.address());
    ours.record(mark);
    device.stream().waitFor(mark);
  }

  private void group(Calls calls, MemorySegment streamAddress) {
    device.context().makeCurrent();
    check(Nccl.ncclGroupStart(), "ncclGroupStart");
    int end = Nccl.ncclSuccess();
    try {
      calls.make(address, streamAddress);
    } finally {
      // Also after a refused call: the thread would stay within the group.
      end = Nccl.ncclGroupEnd();
    }
    check(end, "ncclGroupEnd");
  }

  private CudaStream openStream() {
    CudaStream opened = stream;
    if (opened == null) {
      opened = CudaStream.open(device.context());
      stream = opened;
    }
    return opened;
  }

  private CudaEvent openReady() {
    CudaEvent opened = ready;
    if (opened == null) {
      opened = CudaEvent.open(device.context());
      ready = opened;
    }
    return opened;
  }

  private Mark mark() {
    CudaEvent event;
    if (resting.size() > RESTING_MARKS) {
      Mark oldest = resting.removeFirst();
      oldest.reused = true;
      event = oldest.event;
    } else {
      event = CudaEvent.open(device.context());
      events.add(event);
    }
    // The stream runs in order: what was launched later answers for it.
    while (!flights.isEmpty() && flights.getFirst().mark.reused) {
      flights.removeFirst();
    }
    return new Mark(this, event);
  }

  private synchronized void rest(Mark mark) {
    resting.addLast(mark);
  }

  // ---- what the watchdog asks

  /**
   * The first operation whose time is up and that has not ended for {@code graceNanos} after that;
   * null if there is none. Asked again and again: lazy devices get on with their work by being
   * asked.
   */
  synchronized @Nullable NcclOperation overdue(long now, long graceNanos) {
    while (!isGone() && !flights.isEmpty()) {
      Flight first = flights.getFirst();
      if (!first.mark.reused) {
        if (first.deadlineNanos - now > 0) {
          return null;
        }
        if (!first.mark.isDone()) {
          overdueSince = overdueSince == 0 ? now : overdueSince;
          return now - overdueSince > graceNanos ? first.operation : null;
        }
      }
      overdueSince = 0;
      flights.removeFirst();
    }
    return null;
  }

  /** Whether an operation is past its time, and to be looked at soon. */
  synchronized boolean isWatchedClosely() {
    return overdueSince != 0 && !flights.isEmpty() && !isGone();
  }

  /** The oldest operation that may be under way, without asking the driver; null if none. */
  synchronized @Nullable NcclOperation oldest() {
    Flight first = flights.peekFirst();
    return first == null || isGone() ? null : first.operation;
  }

  /** What NCCL found since: a peer that ended, a connection that broke; empty if nothing. */
  synchronized String asynchronousError() {
    if (isGone()) {
      return "";
    }
    int status = NcclLibrary.asynchronousError(address);
    return status == Nccl.ncclSuccess() ? "" : NcclLibrary.text(status, address);
  }

  // ---- the end

  private boolean isGone() {
    return address.address() == 0;
  }

  /** Ends whatever waits for others, without waiting for them. Arrays hold anything afterwards. */
  synchronized void abort() {
    if (!isGone()) {
      MemorySegment ended = address;
      address = MemorySegment.NULL;
      device.context().makeCurrent();
      // What it answers changes nothing: the communicator is gone in any case.
      int unused = Nccl.ncclCommAbort(ended);
    }
  }

  /** Waits until all that was launched has run. */
  void drain() {
    CudaStream opened = stream;
    if (opened != null) {
      opened.synchronize();
    }
  }

  /** Ends it, all its work being done and all members calling this. */
  synchronized void destroy() {
    if (!isGone()) {
      MemorySegment ended = address;
      address = MemorySegment.NULL;
      device.context().makeCurrent();
      int finalized = Nccl.ncclCommFinalize(ended);
      int destroyed = Nccl.ncclCommDestroy(ended);
      NcclLibrary.check(finalized, "ncclCommFinalize", where, MemorySegment.NULL);
      NcclLibrary.check(destroyed, "ncclCommDestroy", where, MemorySegment.NULL);
    }
  }

  /** Gives stream and events back; the communicator is gone. */
  synchronized void closeStream() {
    flights.clear();
    events.forEach(CudaEvent::close);
    events.clear();
    resting.clear();
    if (ready != null) {
      ready.close();
      ready = null;
    }
    if (stream != null) {
      stream.close();
      stream = null;
    }
  }
}
