package dev.heddle.simulated.driver;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.simulated.memory.DeviceMemory;
import dev.heddle.simulated.memory.SimulatedFault;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** One simulated GPU: its memory with the state of each allocation, and its primary context. */
final class SimulatedGpu {
  /**
   * Memory that a program has, or will have or has had in stream order.
   *
   * @param pool where it came from, or null for {@code cuMemAlloc}
   */
  static final class Span {
    final long address;
    final long byteSize;
    final @Nullable SimulatedPool pool;
    private boolean live;
    private boolean freeing;

    private Span(long address, long byteSize, @Nullable SimulatedPool pool) {
      this.address = address;
      this.byteSize = byteSize;
      this.pool = pool;
    }
  }

  final Machine machine;
  final int ordinal;
  final DeviceMemory memory;
  final SimulatedPool defaultPool;
  private final TreeMap<Long, Span> spans = new TreeMap<>();
  private int notYetLive;
  private @Nullable SimulatedContext primary;
  private boolean lostBefore;

  SimulatedGpu(Machine machine, int ordinal) {
    this.machine = machine;
    this.ordinal = ordinal;
    this.memory = new DeviceMemory(ordinal, machine.options.memoryBytes());
    this.defaultPool = new SimulatedPool(this, true);
  }

  // ---- the primary context

  SimulatedContext retainPrimary() {
    SimulatedContext context = primary;
    if (context == null) {
      context = new SimulatedContext(this);
      primary = context;
    }
    context.uses++;
    return context;
  }

  void releasePrimary() {
    SimulatedContext context = primary;
    if (context == null) {
      throw new DriverError(
          Cuda.CUDA_ERROR_INVALID_CONTEXT(), this + ": its primary context is not in use");
    }
    if (--context.uses == 0) {
      primary = null;
      lostBefore |= context.isLost();
      if (!context.isLost()) {
        machine.livingIn(context).forEach(what -> machine.leaked(what + " outlived its context"));
        for (Span span : spans.values()) {
          machine.leaked(
              "%d bytes at 0x%x on %s outlived the context"
                  .formatted(span.byteSize, span.address, this));
        }
      }
      spans.keySet().forEach(memory::free);
      spans.clear();
      notYetLive = 0;
      context.end();
      machine.forgetAllOf(context);
    }
  }

  @Nullable SimulatedContext primaryOrNull() {
    return primary;
  }

  /** Whether a context was lost that has been released since. */
  boolean lostBefore() {
    return lostBefore;
  }

  // ---- memory

  /** Memory that is live at once. */
  Span allocate(long bytes) {
    Span span = reserve(bytes, null);
    span.live = true;
    notYetLive--;
    return span;
  }

  /** Memory with an address at once, that becomes live with {@link #makeLive}. */
  Span reserve(long bytes, @Nullable SimulatedPool pool) {
    if (bytes <= 0) {
      throw DriverError.invalidValue("an allocation of " + bytes + " bytes");
    }
    long address;
    try {
      address = memory.allocate(bytes);
    } catch (SimulatedFault fault) {
      throw new DriverError(Machine.status(fault), String.valueOf(fault.getMessage()));
    }
    Span span = new Span(address, bytes, pool);
    spans.put(address, span);
    notYetLive++;
    machine.tally.allocations++;
    return span;
  }

  void makeLive(Span span) {
    if (!span.live) {
      span.live = true;
      notYetLive--;
    }
  }

  /** The allocation that starts there and is not being freed yet; marks it as being freed. */
  Span startFree(long address, String call) {
    Span span = spans.get(address);
    if (span == null || span.freeing) {
      throw DriverError.invalidValue(
          "%s of 0x%x on %s, %s"
              .formatted(
                  call,
                  address,
                  this,
                  span == null
                      ? "which is no allocation's start: " + memory.describe(address, 1)
                      : "which is freed already"));
    }
    span.freeing = true;
    return span;
  }

  void finishFree(Span span) {
    spans.remove(span.address);
    memory.free(span.address);
  }

  @Nullable Span spanAt(long address) {
    Map.Entry<Long, Span> entry = spans.floorEntry(address);
    if (entry == null) {
      return null;
    }
    Span span = entry.getValue();
    return address - span.address < span.byteSize ? span : null;
  }

  /**
   * Bytes of this GPU or of one that it has access to.
   *
   * @throws SimulatedFault if they are not live now, in the order that work runs in
   */
  MemorySegment at(long address, long bytes, String what) {
    int owner = DeviceMemory.deviceOf(address);
    if (owner == ordinal || owner < 0 || owner >= machine.gpus.size()) {
      return own(address, bytes, what);
    }
    SimulatedGpu peer = machine.gpus.get(owner);
    if (!canAccess(peer, address)) {
      throw new SimulatedFault(
          SimulatedFault.Kind.ILLEGAL_ADDRESS,
          "%s: %s touches 0x%x of %s, to which it has no access: enable it in the context, or for a pool with cuMemPoolSetAccess"
              .formatted(what, this, address, peer));
    }
    return peer.own(address, bytes, what);
  }

  private MemorySegment own(long address, long bytes, String what) {
    if (notYetLive > 0) {
      Span span = spanAt(address);
      if (span != null && !span.live) {
        throw new SimulatedFault(
            SimulatedFault.Kind.ILLEGAL_ADDRESS,
            "%s: 0x%x on %s is used before its allocation in stream order: wait for an event of the stream that allocated it"
                .formatted(what, address, this));
      }
    }
    return memory.at(address, bytes, what);
  }

  /** Whether this GPU may touch that address of another. */
  boolean canAccess(SimulatedGpu owner, long address) {
    if (owner == this) {
      return true;
    }
    Span span = owner.spanAt(address);
    if (span != null && span.pool != null) {
      return span.pool.grants(ordinal);
    }
    SimulatedContext mine = primary;
    SimulatedContext theirs = owner.primary;
    return mine != null && theirs != null && mine.peers.contains(theirs);
  }

  void close() {
    memory.close();
  }

  @Override
  public String toString() {
    return "simulated GPU " + ordinal;
  }
}
