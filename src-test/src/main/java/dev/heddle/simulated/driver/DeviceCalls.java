package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The driver's functions for itself, its devices, contexts and their access to each other. */
@SuppressWarnings("MethodName")
final class DeviceCalls {
  /** A figure like a GPU's; nothing in the simulation has a clock. */
  private static final int CLOCK_KILOHERTZ = 1_000_000;

  private static final int MULTIPROCESSORS = 4;
  private static final Map<Integer, String> NAMES = new HashMap<>();
  private static final Map<String, MemorySegment> TEXTS = new HashMap<>();

  static {
    for (Method method : Cuda.class.getMethods()) {
      String name = method.getName();
      if (name.startsWith("CUDA_ERROR_") && method.getParameterCount() == 0) {
        try {
          NAMES.put((int) method.invoke(null), name);
        } catch (ReflectiveOperationException impossible) {
          throw new ExceptionInInitializerError(impossible);
        }
      }
    }
    NAMES.put(0, "CUDA_SUCCESS");
  }

  private DeviceCalls() {}

  // ---- the driver itself

  static int cuInit(int flags) {
    Machine machine = Machine.installed();
    synchronized (machine) {
      machine.start();
      return 0;
    }
  }

  static int cuDriverGetVersion(MemorySegment version) {
    version.set(JAVA_INT, 0, Machine.installed().options.driverVersion());
    return 0;
  }

  static int cuGetErrorName(int error, MemorySegment pointer) {
    String name = NAMES.get(error);
    pointer.set(ADDRESS, 0, name == null ? MemorySegment.NULL : text(name));
    return name == null ? Cuda.CUDA_ERROR_INVALID_VALUE() : 0;
  }

  /** The name in words; of a lost context also the fault, which a real driver does not tell. */
  static int cuGetErrorString(int error, MemorySegment pointer) {
    String name = NAMES.get(error);
    if (name == null) {
      pointer.set(ADDRESS, 0, MemorySegment.NULL);
      return Cuda.CUDA_ERROR_INVALID_VALUE();
    }
    String words = name.replaceFirst("CUDA_(ERROR_)?", "").replace('_', ' ');
    String line = words.toLowerCase(Locale.ROOT);
    Machine machine = Machine.installedOrNull();
    SimulatedContext context = machine == null ? null : machine.contextOrNull();
    if (context != null && context.isLost()) {
      line += " (simulated GPU: " + context.fault() + ")";
    }
    pointer.set(ADDRESS, 0, text(line));
    return 0;
  }

  private static MemorySegment text(String text) {
    synchronized (TEXTS) {
      return TEXTS.computeIfAbsent(text, key -> Arena.global().allocateFrom(key));
    }
  }

  // ---- devices

  static int cuDeviceGetCount(MemorySegment count) {
    count.set(JAVA_INT, 0, Machine.running().gpus.size());
    return 0;
  }

  static int cuDeviceGet(MemorySegment device, int ordinal) {
    device.set(JAVA_INT, 0, Machine.running().gpu(ordinal).ordinal);
    return 0;
  }

  static int cuDeviceGetName(MemorySegment name, int length, int device) {
    byte[] text = "Simulated GPU".getBytes(StandardCharsets.UTF_8);
    Machine.running().gpu(device);
    int kept = Math.min(text.length, length - 1);
    MemorySegment.copy(text, 0, name, JAVA_BYTE, 0, kept);
    name.set(JAVA_BYTE, kept, (byte) 0);
    return 0;
  }

  static int cuDeviceTotalMem_v2(MemorySegment bytes, int device) {
    bytes.set(JAVA_LONG, 0, Machine.running().gpu(device).memory.capacityBytes());
    return 0;
  }

  static int cuDeviceGetAttribute(MemorySegment value, int attribute, int device) {
    Machine machine = Machine.running();
    machine.gpu(device);
    value.set(JAVA_INT, 0, attribute(machine.options, attribute));
    return 0;
  }

  private static int attribute(SimulatedOptions options, int attribute) {
    if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR()) {
      return options.computeCapability() / 10;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR()) {
      return options.computeCapability() % 10;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT()) {
      return MULTIPROCESSORS;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK()) {
      return Limits.THREADS_PER_BLOCK;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_WARP_SIZE()) {
      return 32;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK()) {
      return Limits.SHARED_BYTES;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN()) {
      return Limits.sharedBytesOptIn(options.computeCapability());
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED()) {
      return options.memoryPools() ? 1 : 0;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING()) {
      return 1;
    } else if (attribute == Cuda.CU_DEVICE_ATTRIBUTE_CLOCK_RATE()) {
      return CLOCK_KILOHERTZ;
    }
    throw DriverError.invalidValue("the simulated GPU has no attribute " + attribute);
  }

  // ---- contexts

  static int cuDevicePrimaryCtxRetain(MemorySegment context, int device) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext primary = machine.gpu(device).retainPrimary();
      context.set(ADDRESS, 0, MemorySegment.ofAddress(primary.handle));
      return 0;
    }
  }

  static int cuDevicePrimaryCtxRelease_v2(int device) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.gpu(device).releasePrimary();
      return 0;
    }
  }

  static int cuCtxSetCurrent(MemorySegment context) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.setContext(
          context.address() == 0 ? null : machine.object(context, SimulatedContext.class));
      return 0;
    }
  }

  static int cuCtxGetCurrent(MemorySegment context) {
    SimulatedContext current = Machine.running().contextOrNull();
    context.set(ADDRESS, 0, MemorySegment.ofAddress(current == null ? 0 : current.handle));
    return 0;
  }

  static int cuCtxGetDevice(MemorySegment device) {
    device.set(JAVA_INT, 0, Machine.running().context().gpu.ordinal);
    return 0;
  }

  static int cuCtxSynchronize() {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = machine.context();
      GraphCalls.refuseWhileCapturing(machine, "cuCtxSynchronize");
      machine.tally.synchronizations++;
      machine.await("cuCtxSynchronize on " + context.gpu, context::runAll);
      context.requireSound();
      return 0;
    }
  }

  static int cuMemGetInfo_v2(MemorySegment free, MemorySegment total) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedGpu gpu = machine.context().gpu;
      free.set(JAVA_LONG, 0, gpu.memory.freeBytes());
      total.set(JAVA_LONG, 0, gpu.memory.capacityBytes());
      return 0;
    }
  }

  // ---- peers

  static int cuDeviceCanAccessPeer(MemorySegment answer, int device, int peer) {
    Machine machine = Machine.running();
    machine.gpu(device);
    machine.gpu(peer);
    answer.set(JAVA_INT, 0, device != peer && machine.options.peerAccess() ? 1 : 0);
    return 0;
  }

  static int cuCtxEnablePeerAccess(MemorySegment peer, int flags) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = machine.context();
      SimulatedContext other = peerOf(machine, context, peer);
      if (!machine.options.peerAccess()) {
        throw new DriverError(
            Cuda.CUDA_ERROR_PEER_ACCESS_UNSUPPORTED(), "these simulated GPUs have no peer access");
      }
      if (!context.peers.add(other)) {
        throw new DriverError(
            Cuda.CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED(), context.gpu + " to " + other.gpu);
      }
      return 0;
    }
  }

  static int cuCtxDisablePeerAccess(MemorySegment peer) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = machine.context();
      if (!context.peers.remove(peerOf(machine, context, peer))) {
        throw new DriverError(Cuda.CUDA_ERROR_PEER_ACCESS_NOT_ENABLED(), context.toString());
      }
      return 0;
    }
  }

  private static SimulatedContext peerOf(
      Machine machine, SimulatedContext context, MemorySegment peer) {
    SimulatedContext other = machine.object(peer, SimulatedContext.class);
    if (other == context) {
      throw new DriverError(Cuda.CUDA_ERROR_INVALID_DEVICE(), "a context is no peer of itself");
    }
    return other;
  }
}
