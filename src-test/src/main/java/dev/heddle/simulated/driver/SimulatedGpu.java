package dev.heddle.simulated.driver;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.simulated.memory.Allocation;
import dev.heddle.simulated.memory.DeviceMemory;
import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.simt.GlobalMemory;
import dev.heddle.simulated.simt.Launch;
import dev.heddle.simulated.simt.Simulator;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** One simulated GPU: its memory with the state of each allocation, and its primary context. */
final class SimulatedGpu implements GlobalMemory {
  /**
   * Memory that a program has, or will have or has had in stream order; without a pool if it came
   * from {@code cuMemAlloc}.
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
  final Simulator simulator = new Simulator();
  Launch.Options execution;
  final SimulatedPool defaultPool;
  private final TreeMap<Long, Span> spans = new TreeMap<>();
  private int notYetLive;
  private @Nullable SimulatedContext primary;
  private boolean lostBefore;

  SimulatedGpu(Machine machine, int ordinal) {
    this.machine = machine;
    this.ordinal = ordinal;
    this.execution = machine.options.execution();
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
   * The live allocation that an address of this GPU, or of one that it has access to, is in; live
   * in the order that work runs in.
   */
  @Override
  public @Nullable Allocation find(long address) {
    SimulatedGpu owner = owner(address);
    if (owner == null) {
      return machine.hostMemory.find(address);
    }
    return !canAccess(owner, address) || owner.isNotYetLive(address)
        ? null
        : owner.memory.find(address);
  }

  @Override
  public String describe(long address, long byteSize) {
    SimulatedGpu owner = owner(address);
    if (owner == null) {
      return "no address of a simulated GPU, nor of page-locked host memory";
    }
    if (owner.isNotYetLive(address)) {
      return "used before its allocation in stream order: wait for an event of the stream that"
          + " allocated it";
    }
    if (!canAccess(owner, address)) {
      return "memory of %s, to which %s has no access: enable it in the context, or for a pool with cuMemPoolSetAccess"
          .formatted(owner, this);
    }
    return owner.memory.describe(address, byteSize);
  }

  private @Nullable SimulatedGpu owner(long address) {
    int device = DeviceMemory.deviceOf(address);
    return device < 0 || device >= machine.gpus.size() ? null : machine.gpus.get(device);
  }

  private boolean isNotYetLive(long address) {
    if (notYetLive == 0) {
      return false;
    }
    Span span = spanAt(address);
    return span != null && !span.live;
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
