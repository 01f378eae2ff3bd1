package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.CUmemAccessDesc;
import dev.heddle.bindings.cuda.CUmemLocation;
import dev.heddle.bindings.cuda.CUmemPoolProps;
import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.simulated.memory.DeviceMemory;
import java.lang.foreign.MemorySegment;

/** The driver's functions for memory: blocking, in stream order, in pools, page-locked. */
@SuppressWarnings("MethodName")
final class MemoryCalls {
  private MemoryCalls() {}

  // ---- blocking

  static int cuMemAlloc_v2(MemorySegment pointer, long bytes) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = machine.context();
      GraphCalls.refuseWhileCapturing(machine, "cuMemAlloc");
      pointer.set(JAVA_LONG, 0, context.gpu.allocate(bytes).address);
      return 0;
    }
  }

  /** Waits for the GPU first, as real drivers do. */
  static int cuMemFree_v2(long address) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = machine.context();
      GraphCalls.refuseWhileCapturing(machine, "cuMemFree");
      if (address == 0) {
        return 0;
      }
      SimulatedGpu gpu = owner(machine, address);
      machine.await("cuMemFree", context::runAll);
      context.requireSound();
      gpu.finishFree(gpu.startFree(address, "cuMemFree"));
      return 0;
    }
  }

  private static SimulatedGpu owner(Machine machine, long address) {
    int ordinal = DeviceMemory.deviceOf(address);
    if (ordinal < 0 || ordinal >= machine.gpus.size()) {
      throw DriverError.invalidValue("0x%x is no device address".formatted(address));
    }
    return machine.gpus.get(ordinal);
  }

  // ---- in stream order

  static int cuMemAllocAsync(MemorySegment pointer, long bytes, MemorySegment stream) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      return allocate(machine, pointer, bytes, on.context().gpu.defaultPool, on);
    }
  }

  static int cuMemAllocFromPoolAsync(
      MemorySegment pointer, long bytes, MemorySegment pool, MemorySegment stream) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      return allocate(machine, pointer, bytes, machine.object(pool, SimulatedPool.class), on);
    }
  }

  private static int allocate(
      Machine machine, MemorySegment pointer, long bytes, SimulatedPool pool, SimulatedStream on) {
    requirePools(machine);
    if (on.capture != null) {
      GraphCalls.refuseWhileCapturing(machine, "cuMemAllocAsync (no graph memory nodes)");
    }
    SimulatedGpu gpu = pool.gpu;
    SimulatedGpu.Span span;
    try {
      span = gpu.reserve(bytes, pool);
    } catch (DriverError first) {
      // What is freed earlier in stream order is there for the taking.
      if (first.status() != Cuda.CUDA_ERROR_OUT_OF_MEMORY() || !on.runAll()) {
        throw first;
      }
      span = gpu.reserve(bytes, pool);
    }
    SimulatedGpu.Span reserved = span;
    pool.allocations++;
    pool.usedBytes += bytes;
    pointer.set(JAVA_LONG, 0, span.address);
    on.give(
        GraphNode.of(
            "allocation",
            "allocation of %d bytes at 0x%x".formatted(bytes, span.address),
            () -> gpu.makeLive(reserved)));
    return 0;
  }

  static int cuMemFreeAsync(long address, MemorySegment stream) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      SimulatedGpu gpu = owner(machine, address);
      if (on.capture != null) {
        GraphCalls.refuseWhileCapturing(machine, "cuMemFreeAsync (no graph memory nodes)");
      }
      SimulatedGpu.Span span = gpu.startFree(address, "cuMemFreeAsync");
      SimulatedPool pool = span.pool;
      if (pool != null) {
        pool.allocations--;
        pool.usedBytes -= span.byteSize;
      }
      on.give(GraphNode.of("free", "free of 0x%x".formatted(address), () -> gpu.finishFree(span)));
      return 0;
    }
  }

  // ---- pools

  private static void requirePools(Machine machine) {
    if (!machine.options.memoryPools()) {
      throw new DriverError(
          Cuda.CUDA_ERROR_NOT_SUPPORTED(), "these simulated GPUs have no memory pools");
    }
  }

  static int cuMemPoolCreate(MemorySegment pool, MemorySegment properties) {
    Machine machine = Machine.running();
    synchronized (machine) {
      requirePools(machine);
      MemorySegment location =
          CUmemPoolProps.location(properties.reinterpret(CUmemPoolProps.sizeof()));
      if (CUmemLocation.type(location) != Cuda.CU_MEM_LOCATION_TYPE_DEVICE()) {
        throw DriverError.invalidValue("a memory pool that is not on a device");
      }
      SimulatedGpu gpu = machine.gpu(CUmemLocation.id(location));
      long handle = machine.handle(new SimulatedPool(gpu, false));
      pool.set(ADDRESS, 0, MemorySegment.ofAddress(handle));
      return 0;
    }
  }

  static int cuMemPoolDestroy(MemorySegment pool) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedPool destroyed = machine.object(pool, SimulatedPool.class);
      if (destroyed.allocations > 0) {
        machine.leaked(
            destroyed.allocations + " allocation(s) of a destroyed pool of " + destroyed.gpu);
      }
      machine.forget(pool);
      return 0;
    }
  }

  /** Nothing to do: what is freed goes back at once. */
  static int cuMemPoolTrimTo(MemorySegment pool, long bytesToKeep) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.object(pool, SimulatedPool.class);
      return 0;
    }
  }

  static int cuMemPoolSetAttribute(MemorySegment pool, int attribute, MemorySegment value) {
    Machine machine = Machine.running();
    synchronized (machine) {
      if (attribute != Cuda.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD()) {
        throw DriverError.invalidValue("the simulated driver sets no pool attribute " + attribute);
      }
      machine.object(pool, SimulatedPool.class).releaseThreshold = value.get(JAVA_LONG, 0);
      return 0;
    }
  }

  static int cuMemPoolGetAttribute(MemorySegment pool, int attribute, MemorySegment value) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedPool asked = machine.object(pool, SimulatedPool.class);
      long answer;
      if (attribute == Cuda.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD()) {
        answer = asked.releaseThreshold;
      } else if (attribute == Cuda.CU_MEMPOOL_ATTR_USED_MEM_CURRENT()) {
        answer = asked.usedBytes;
      } else {
        throw DriverError.invalidValue("the simulated driver has no pool attribute " + attribute);
      }
      value.set(JAVA_LONG, 0, answer);
      return 0;
    }
  }

  static int cuMemPoolSetAccess(MemorySegment pool, MemorySegment map, long count) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedPool shared = machine.object(pool, SimulatedPool.class);
      MemorySegment all = map.reinterpret(count * CUmemAccessDesc.sizeof());
      for (long i = 0; i < count; i++) {
        MemorySegment access = CUmemAccessDesc.asSlice(all, i);
        SimulatedGpu gpu = machine.gpu(CUmemLocation.id(CUmemAccessDesc.location(access)));
        if (gpu != shared.gpu && !machine.options.peerAccess()) {
          throw DriverError.invalidValue(gpu + " cannot reach the memory of " + shared.gpu);
        }
        shared.grant(
            gpu.ordinal,
            CUmemAccessDesc.flags(access) == Cuda.CU_MEM_ACCESS_FLAGS_PROT_READWRITE());
      }
      return 0;
    }
  }

  // ---- page-locked host memory

  static int cuMemHostAlloc(MemorySegment pointer, long bytes, int flags) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      GraphCalls.refuseWhileCapturing(machine, "cuMemHostAlloc");
      pointer.set(ADDRESS, 0, MemorySegment.ofAddress(machine.hostMemory.allocate(bytes)));
      return 0;
    }
  }

  static int cuMemAllocHost_v2(MemorySegment pointer, long bytes) {
    return cuMemHostAlloc(pointer, bytes, 0);
  }

  static int cuMemHostGetDevicePointer_v2(MemorySegment pointer, MemorySegment host, int flags) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      if (flags != 0 || !machine.hostMemory.isPinned(host.address(), 1)) {
        throw DriverError.invalidValue(
            "cuMemHostGetDevicePointer of 0x%x, which is not page-locked, or with flags %d"
                .formatted(host.address(), flags));
      }
      pointer.set(JAVA_LONG, 0, host.address());
      return 0;
    }
  }

  static int cuMemFreeHost(MemorySegment pointer) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.hostMemory.free(pointer.address());
      return 0;
    }
  }

  static int cuPointerGetAttribute(MemorySegment data, int attribute, long address) {
    Machine machine = Machine.running();
    synchronized (machine) {
      if (attribute != Cuda.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL()) {
        throw DriverError.invalidValue(
            "the simulated driver has no pointer attribute " + attribute);
      }
      SimulatedGpu gpu = owner(machine, address);
      if (gpu.spanAt(address) == null) {
        throw DriverError.invalidValue("0x%x is in no allocation".formatted(address));
      }
      data.set(JAVA_INT, 0, gpu.ordinal);
      return 0;
    }
  }
}
