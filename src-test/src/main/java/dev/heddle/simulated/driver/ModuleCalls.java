package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.simt.LaunchReport;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/** The driver's functions for modules, functions and launches. */
@SuppressWarnings("MethodName")
final class ModuleCalls {
  private ModuleCalls() {}

  // ---- modules

  static int cuModuleLoadData(MemorySegment module, MemorySegment image) {
    return cuModuleLoadDataEx(module, image, 0, MemorySegment.NULL, MemorySegment.NULL);
  }

  static int cuModuleLoadDataEx(
      MemorySegment module,
      MemorySegment image,
      int optionCount,
      MemorySegment options,
      MemorySegment values) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = machine.context();
      GraphCalls.refuseWhileCapturing(machine, "cuModuleLoadDataEx");
      KernelImage compiled;
      try {
        compiled = machine.compiler.compile(context.gpu, image.getString(0));
      } catch (IllegalArgumentException refused) {
        String log = String.valueOf(refused.getMessage());
        writeLog(optionCount, options, values, log);
        throw new DriverError(Cuda.CUDA_ERROR_INVALID_PTX(), log);
      }
      int capability = machine.options.computeCapability();
      if (compiled.target() > capability) {
        writeLog(
            optionCount,
            options,
            values,
            "the target sm_%d is newer than the GPU's %d".formatted(compiled.target(), capability));
        throw new DriverError(
            Cuda.CUDA_ERROR_NO_BINARY_FOR_GPU(), "PTX for sm_" + compiled.target());
      }
      long handle = machine.handle(new LoadedModule(context, compiled));
      module.set(ADDRESS, 0, MemorySegment.ofAddress(handle));
      return 0;
    }
  }

  /** The log goes where the options say; each option's value is the size of a pointer. */
  private static void writeLog(
      int optionCount, MemorySegment options, MemorySegment values, String log) {
    long buffer = 0;
    long capacity = 0;
    for (int i = 0; i < optionCount; i++) {
      int option = options.getAtIndex(JAVA_INT, i);
      long value = values.getAtIndex(JAVA_LONG, i);
      if (option == Cuda.CU_JIT_ERROR_LOG_BUFFER()) {
        buffer = value;
      } else if (option == Cuda.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES()) {
        capacity = value & 0xFFFF_FFFFL;
      }
    }
    if (buffer != 0 && capacity > 0) {
      byte[] text = ("simulated ptxas: " + log).getBytes(StandardCharsets.UTF_8);
      int kept = (int) Math.min(text.length, capacity - 1);
      MemorySegment target = MemorySegment.ofAddress(buffer).reinterpret(capacity);
      MemorySegment.copy(text, 0, target, JAVA_BYTE, 0, kept);
      target.set(JAVA_BYTE, kept, (byte) 0);
    }
  }

  static int cuModuleUnload(MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      LoadedModule module = machine.object(handle, LoadedModule.class);
      module.unloaded = true;
      module.image.unload(module.context().gpu);
      machine.forget(handle);
      return 0;
    }
  }

  static int cuModuleGetFunction(MemorySegment function, MemorySegment module, MemorySegment name) {
    Machine machine = Machine.running();
    synchronized (machine) {
      LoadedModule loaded = machine.object(module, LoadedModule.class);
      KernelImage.Kernel kernel = loaded.image.kernel(name.getString(0));
      if (kernel == null) {
        throw new DriverError(
            Cuda.CUDA_ERROR_NOT_FOUND(), loaded + " has no kernel " + name.getString(0));
      }
      long handle = machine.handle(new LoadedFunction(loaded, kernel));
      function.set(ADDRESS, 0, MemorySegment.ofAddress(handle));
      return 0;
    }
  }

  // ---- functions

  static int cuFuncSetAttribute(MemorySegment handle, int attribute, int value) {
    Machine machine = Machine.running();
    synchronized (machine) {
      LoadedFunction function = machine.object(handle, LoadedFunction.class);
      if (attribute != Cuda.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES()) {
        throw DriverError.invalidValue(
            "the simulated driver sets no function attribute " + attribute);
      }
      int most = Limits.sharedBytesOptIn(machine.options.computeCapability());
      if (value < 0 || value > most - function.kernel.staticSharedBytes()) {
        throw DriverError.invalidValue(
            "%s: %d bytes of dynamic shared memory, at most %d"
                .formatted(
                    function.kernel.name(), value, most - function.kernel.staticSharedBytes()));
      }
      function.dynamicSharedBytes = value;
      return 0;
    }
  }

  static int cuFuncGetAttribute(MemorySegment value, int attribute, MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      KernelImage.Kernel kernel = machine.object(handle, LoadedFunction.class).kernel;
      int answer;
      if (attribute == Cuda.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK()) {
        answer = kernel.maximumThreads();
      } else if (attribute == Cuda.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES()) {
        answer = kernel.staticSharedBytes();
      } else {
        throw DriverError.invalidValue(
            "the simulated driver has no function attribute " + attribute);
      }
      value.set(JAVA_INT, 0, answer);
      return 0;
    }
  }

  // ---- launches

  /** Takes a copy of the parameters, as CUDA does: the caller's memory is free for the next. */
  static int cuLaunchKernel(
      MemorySegment handle,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      int blockZ,
      int sharedBytes,
      MemorySegment streamHandle,
      MemorySegment parameters,
      MemorySegment extra) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = machine.context();
      LoadedFunction function = machine.object(handle, LoadedFunction.class);
      SimulatedStream stream = StreamCalls.stream(machine, streamHandle);
      if (function.context() != context || stream.context() != context) {
        throw DriverError.invalidHandle(
            "%s: launched in %s on %s, loaded in %s"
                .formatted(function.kernel.name(), context, stream, function.context()));
      }
      KernelImage.Launch launch =
          new KernelImage.Launch(
              new KernelImage.Size(gridX, gridY, gridZ),
              new KernelImage.Size(blockX, blockY, blockZ),
              sharedBytes,
              parameterBytes(function.kernel, parameters));
      check(function, launch);
      KernelImage.Kernel kernel = function.kernel;
      SimulatedGpu gpu = context.gpu;
      String what = "kernel " + kernel.name() + launch + " on " + gpu;
      stream.give(
          GraphNode.of(
              "kernel " + kernel.name(),
              what,
              () -> {
                if (function.module.unloaded) {
                  throw new SimulatedFault(
                      SimulatedFault.Kind.INVALID_LAUNCH,
                      what + ": its module was unloaded before it ran");
                }
                machine.tally.launched(kernel.name());
                LaunchReport report = kernel.run(gpu, launch);
                if (gpu.execution.globalTraffic()) {
                  machine.tally.moved(kernel.name(), report.bytesRead(), report.bytesWritten());
                }
              }));
      return 0;
    }
  }

  private static MemorySegment parameterBytes(KernelImage.Kernel kernel, MemorySegment parameters) {
    // An array of longs, so that every parameter is aligned.
    MemorySegment bytes = MemorySegment.ofArray(new long[(kernel.parameterBytes() + 7) / 8]);
    if (bytes.byteSize() > 0 && parameters.address() == 0) {
      throw DriverError.invalidValue(kernel.name() + ": launched without parameters");
    }
    for (int i = 0; i < kernel.parameters().size(); i++) {
      KernelImage.Parameter parameter = kernel.parameters().get(i);
      MemorySegment value =
          MemorySegment.ofAddress(parameters.getAtIndex(JAVA_LONG, i))
              .reinterpret(parameter.byteSize());
      if (value.address() == 0) {
        throw DriverError.invalidValue(
            "%s: parameter %d of %d is not given"
                .formatted(kernel.name(), i, kernel.parameters().size()));
      }
      MemorySegment.copy(value, 0, bytes, parameter.offset(), parameter.byteSize());
    }
    return bytes;
  }

  private static void check(LoadedFunction function, KernelImage.Launch launch) {
    KernelImage.Kernel kernel = function.kernel;
    KernelImage.Size grid = launch.grid();
    KernelImage.Size block = launch.block();
    long threads = (long) block.x() * block.y() * block.z();
    if (!grid.isPositive()
        || !block.isPositive()
        || grid.y() > Limits.GRID_YZ
        || grid.z() > Limits.GRID_YZ
        || block.z() > Limits.BLOCK_Z
        || threads > kernel.maximumThreads()) {
      throw DriverError.invalidValue(
          "kernel %s%s: no GPU takes these sizes (at most %d threads a block)"
              .formatted(kernel.name(), launch, kernel.maximumThreads()));
    }
    if (launch.sharedBytes() < 0 || launch.sharedBytes() > function.dynamicSharedBytes) {
      throw DriverError.invalidValue(
          "kernel %s%s: %d bytes of dynamic shared memory, at most %d unless cuFuncSetAttribute allows more"
              .formatted(kernel.name(), launch, launch.sharedBytes(), function.dynamicSharedBytes));
    }
  }
}
