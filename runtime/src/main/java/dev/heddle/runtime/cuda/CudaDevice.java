package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.HostCopy;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.WorkRecorder;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * An NVIDIA GPU as a device: one stream, memory ordered by it, and kernels compiled for the GPU
 * from the PTX that Heddle ships.
 *
 * <p>Kernels only queue work. The host waits in three places: where it reads a value ({@link
 * #copyToHost}), where it asks to ({@link #synchronize()}), and where copies to the GPU are a whole
 * staging ring ahead of it.
 *
 * <p>One thread, the rank's, uses a device. A GPU may be opened several times: each device has its
 * own stream and pool and shares the GPU's context.
 */
public final class CudaDevice implements Device {
  /** Host memory for copies: large enough for the bus to run at full speed. */
  private static final long STAGING_PART_BYTES = 4L << 20;

  private final String name;
  private final CudaDeviceProperties properties;
  private final CudaContext context;
  private final CudaStream stream;
  private final CudaMemory driverMemory;
  private final MemoryPool memory;
  private final PinnedStaging staging;
  private final Arena arena = Arena.ofShared();
  private final LaunchArguments arguments = new LaunchArguments(arena);
  private final CudaEvent handOver;
  private final CudaKernelFactory factory;
  private final @Nullable Kernels[] kernels = new Kernels[DType.values().length];
  private final Map<String, CudaModule> modules = new LinkedHashMap<>();
  private @Nullable Runnable waitCheck;
  private final Map<Class<?>, CudaAttachment> attachments = new LinkedHashMap<>();
  private @Nullable CudaRowFaults rowFaults;
  private @Nullable CudaRecorder recorder;
  private boolean closed;

  private CudaDevice(
      CudaDeviceProperties properties,
      CudaContext context,
      CudaStream stream,
      long stagingPartBytes,
      CudaKernelFactory factory) {
    this.name = "cuda:" + properties.ordinal();
    this.properties = properties;
    this.context = context;
    this.stream = stream;
    this.driverMemory = CudaMemory.open(context, stream, properties.hasMemoryPools());
    this.memory = new MemoryPool(name, driverMemory);
    driverMemory.usedBy(memory);
    driverMemory.betweenPieces(this::betweenPieces);
    this.staging = new PinnedStaging(context, stream, stagingPartBytes);
    this.handOver = CudaEvent.open(context);
    this.factory = factory;
  }

  /**
   * Opens GPU {@code ordinal}, counted from 0 among those that the driver shows.
   *
   * @throws IllegalStateException if there is no driver or it is too old, with what to do
   * @throws IllegalArgumentException if there is no such GPU
   */
  public static CudaDevice open(int ordinal) {
    return open(ordinal, CudaKernels::new);
  }

  /** A device with other kernels, for tests of what lies below them. */
  static CudaDevice open(int ordinal, CudaKernelFactory factory) {
    return open(ordinal, STAGING_PART_BYTES, factory);
  }

  static CudaDevice open(int ordinal, long stagingPartBytes, CudaKernelFactory factory) {
    CudaDeviceProperties properties = CudaDeviceProperties.of(ordinal);
    CudaContext context = CudaContext.primary(ordinal);
    CudaStream stream = null;
    try {
      stream = CudaStream.open(context);
      return new CudaDevice(properties, context, stream, stagingPartBytes, factory);
    } catch (RuntimeException failure) {
      if (stream != null) {
        stream.close();
      }
      context.close();
      throw failure;
    }
  }

  /** Runs what a capture forbids: at once, or between two pieces of the open recording. */
  private void betweenPieces(Runnable action) {
    CudaRecorder open = recorder;
    if (open != null && open.isCapturing()) {
      open.once(action);
    } else {
      action.run();
    }
  }

  /** How many GPUs there are, 0 if there is no driver or it does not start. */
  public static int count() {
    if (!CudaDriver.isAvailable()) {
      return 0;
    }
    try {
      return CudaDriver.deviceCount();
    } catch (CudaException | IllegalStateException none) {
      return 0;
    }
  }

  @Override
  public String name() {
    return name;
  }

  /** The GPU's number. */
  public int ordinal() {
    return properties.ordinal();
  }

  /** What GPU it is. */
  public CudaDeviceProperties properties() {
    return properties;
  }

  /** The GPU's context. */
  public CudaContext context() {
    return context;
  }

  /** The stream that all work of this device is on. */
  public CudaStream stream() {
    return stream;
  }

  /** A block of launch arguments, cleared: the same one each time, for use at once. */
  public LaunchArguments arguments() {
    return arguments.clear();
  }

  /** What was done so far. */
  public CudaCounters counters() {
    return context.tally.read();
  }

  /**
   * The module of that name, compiled and loaded at the first call; closed with the device.
   *
   * @param ptx its text; ignored when the module is loaded already
   */
  public CudaModule module(String moduleName, String ptx) {
    return module(moduleName, () -> ptx);
  }

  /** The module of that name, whose text is asked for if it has to be loaded. */
  CudaModule module(String moduleName, Supplier<String> ptx) {
    CudaModule known = modules.get(moduleName);
    if (known == null) {
      betweenPieces(() -> modules.put(moduleName, CudaModule.load(context, moduleName, ptx.get())));
      known = Objects.requireNonNull(modules.get(moduleName));
    }
    return known;
  }

  /** Where kernels report row numbers that are out of range. */
  CudaRowFaults rowFaults() {
    CudaRowFaults faults = rowFaults;
    if (faults == null) {
      faults = attachment(CudaRowFaults.class, device -> new CudaRowFaults(device.context()));
      rowFaults = faults;
    }
    return faults;
  }

  /**
   * What another part of the backend keeps for this device, such as a library's handles: made when
   * it is first asked for, and closed with the device, before its memory.
   */
  <T extends CudaAttachment> T attachment(Class<T> type, Function<CudaDevice, T> make) {
    CudaAttachment found = attachments.get(type);
    if (found == null) {
      found = make.apply(this);
      attachments.put(type, found);
    }
    return type.cast(found);
  }

  @Override
  public Kernels kernels(DType dtype) {
    Kernels table = kernels[dtype.ordinal()];
    if (table == null) {
      table = factory.open(this, dtype);
      kernels[dtype.ordinal()] = table;
    }
    return table;
  }

  @Override
  public MemoryPool memory() {
    return memory;
  }

  @Override
  public void copyFromHost(MemorySegment source, Block destination, long offset) {
    long bytes = source.byteSize();
    checkRange("copyFromHost", destination, offset, bytes);
    if (bytes > 0) {
      long address = destination.segment().address() + offset;
      CudaRecorder open = recorder;
      if (open != null && open.isCapturing()) {
        open.constant(source, address);
        return;
      }
      stream.refuseInCapture("a copy of " + bytes + " bytes from the host");
      staging.upload(source, address);
    }
  }

  @Override
  public void copyToHost(Block source, long offset, MemorySegment destination) {
    long bytes = destination.byteSize();
    checkRange("copyToHost", source, offset, bytes);
    if (bytes > 0) {
      stream.refuseInCapture("a copy of " + bytes + " bytes to the host");
      staging.download(source.segment().address() + offset, destination);
      afterWait();
    }
  }

  @Override
  public boolean isAsynchronous() {
    return true;
  }

  @Override
  public HostCopy copyToHostLater(Block source, long offset, long bytes) {
    checkRange("copyToHostLater", source, offset, bytes);
    stream.refuseInCapture("a copy of " + bytes + " bytes to the host");
    return attachment(CudaHostCopies.class, CudaHostCopies::new)
        .begin(source.segment().address() + offset, bytes);
  }

  private void checkRange(String what, Block block, long offset, long bytes) {
    if (offset < 0 || bytes > block.byteSize() - offset) {
      throw new IndexOutOfBoundsException(
          "%s: %s: %d bytes from byte %d do not lie within a block of %d bytes"
              .formatted(name, what, bytes, offset, block.byteSize()));
    }
  }

  /**
   * Lets this device's kernels and copies reach the memory of {@code peer} without the host.
   *
   * @return false if the two GPUs cannot; copies between them then go through the host
   */
  public boolean enableAccessTo(CudaDevice peer) {
    if (!context.enablePeerAccess(peer.context)) {
      return false;
    }
    peer.driverMemory.allowAccessFrom(ordinal());
    return true;
  }

  /**
   * Queues a copy from another device to this one, after the work given to both so far; work given
   * to {@code peer} later waits until it has been read. The caller's thread must be the one that
   * uses both devices, or keep the other from using its own meanwhile.
   */
  public void copyFromPeer(
      CudaDevice peer,
      Block source,
      long sourceOffset,
      Block destination,
      long destinationOffset,
      long bytes) {
    checkRange("copyFromPeer", destination, destinationOffset, bytes);
    peer.checkRange("copyFromPeer", source, sourceOffset, bytes);
    peer.stream.record(peer.handOver);
    stream.waitFor(peer.handOver);
    stream.copyFromPeer(
        destination.segment().address() + destinationOffset,
        peer.context,
        source.segment().address() + sourceOffset,
        bytes);
    stream.record(handOver);
    peer.stream.waitFor(handOver);
  }

  /**
   * Records what {@code work} gives to this device, without running it. Run {@code work} once
   * before, so that kernels are loaded and the pool holds the memory that it takes; within it the
   * host may neither read nor write values of arrays.
   *
   * @throws IllegalStateException if {@code work} waits, allocates anew or copies
   */
  public CudaGraph capture(Runnable work) {
    return CudaGraph.capture(context, stream, memory, work);
  }

  @Override
  public boolean canRecord() {
    return true;
  }

  @Override
  public WorkRecorder record() {
    if (recorder != null) {
      throw new IllegalStateException(name + ": a recording is open already");
    }
    CudaRecorder opened = new CudaRecorder(this);
    recorder = opened;
    return opened;
  }

  void recordingEnded() {
    recorder = null;
  }

  @Override
  public void synchronize() {
    stream.synchronize();
    afterWait();
  }

  /**
   * Has {@code check} run, on the device's thread, whenever the host has waited for work of this
   * device: so that work of others that the device's work waits for, such as a communicator's, can
   * say that it failed before a value is taken for its result.
   *
   * @param check throws what went wrong; null for none. It replaces the one before
   */
  public void checkAfterWaits(@Nullable Runnable check) {
    waitCheck = check;
  }

  /** Throws what the host could not know before it had waited. */
  void afterWait() {
    Runnable check = waitCheck;
    if (check != null) {
      check.run();
    }
    if (rowFaults != null) {
      rowFaults.check();
    }
  }

  /**
   * Waits for the device and gives back all that it has. A device whose context is lost is closed
   * too; what the driver then says is not repeated.
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    RuntimeException failure = attempt(stream::synchronize, null);
    for (CudaAttachment attachment : attachments.values()) {
      failure = attempt(attachment::close, failure);
    }
    for (CudaModule module : modules.values()) {
      failure = attempt(module::close, failure);
    }
    failure = attempt(staging::close, failure);
    failure = attempt(memory::close, failure);
    failure = attempt(handOver::close, failure);
    failure = attempt(stream::close, failure);
    failure = attempt(context::close, failure);
    arena.close();
    if (failure != null) {
      throw failure;
    }
  }

  private static @Nullable RuntimeException attempt(
      Runnable end, @Nullable RuntimeException failure) {
    try {
      end.run();
    } catch (CudaException thrown) {
      return CudaAdvice.losesContext(thrown.status()) ? failure : join(failure, thrown);
    } catch (RuntimeException thrown) {
      return join(failure, thrown);
    }
    return failure;
  }

  private static RuntimeException join(@Nullable RuntimeException first, RuntimeException next) {
    if (first == null) {
      return next;
    }
    first.addSuppressed(next);
    return first;
  }

  @Override
  public String toString() {
    return "%s (%s, compute capability %s)"
        .formatted(name, properties.name(), properties.computeCapabilityText());
  }
}
