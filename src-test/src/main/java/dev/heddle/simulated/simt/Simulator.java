package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.memory.SimulatedFault.Kind;
import dev.heddle.simulated.ptx.PtxKernel;
import dev.heddle.simulated.ptx.PtxModule;
import dev.heddle.simulated.ptx.PtxVariable;
import java.lang.foreign.MemorySegment;
import java.util.IdentityHashMap;
import java.util.SplittableRandom;

/**
 * Executes kernels as a GPU would, on one thread, block after block, and says what is wrong with
 * them. One simulator is one device: the variables of a module that it runs kernels of keep their
 * values from launch to launch.
 *
 * <p>Thread-safe: launches of different threads run beside each other, and are the caller's to
 * order where they touch the same memory.
 */
public final class Simulator {
  private static final int MOST_THREADS = 1024;
  private static final int MOST_Z = 64;
  private static final int MOST_BLOCKS_YZ = 65535;
  private static final int MOST_SHARED = 227 * 1024;

  private final IdentityHashMap<PtxKernel, DecodedKernel> decoded = new IdentityHashMap<>();
  private final IdentityHashMap<PtxModule, ModuleVariables> variables = new IdentityHashMap<>();

  /**
   * Reads a module and decodes all its kernels.
   *
   * @throws dev.heddle.simulated.ptx.PtxException for anything in it that cannot be executed
   */
  public static PtxModule load(String name, String text) {
    PtxModule module = PtxModule.parse(name, text);
    for (PtxKernel kernel : module.kernels()) {
      new Decoder(kernel).decode();
    }
    return module;
  }

  /** Forgets a module: its decoded kernels and its variables. */
  public void unload(PtxModule module) {
    synchronized (decoded) {
      module.kernels().forEach(decoded::remove);
    }
    synchronized (variables) {
      variables.remove(module);
    }
  }

  /** The bytes of a module's global or const variable on this device. */
  public MemorySegment variable(PtxModule module, String name) {
    for (PtxVariable variable : module.variables()) {
      if (variable.name().equals(name)) {
        ModuleVariables all = variables(module);
        return (variable.space() == PtxVariable.Space.CONST ? all.constant() : all.global())
            .asSlice(variable.offset(), variable.byteSize());
      }
    }
    throw new IllegalArgumentException("module " + module.name() + " has no variable " + name);
  }

  /**
   * Runs a kernel to its end.
   *
   * @throws SimulatedFault for what a GPU would not do, or not do well; see {@link
   *     SimulatedFault.Kind}. What was written until then stays written
   */
  public LaunchReport launch(PtxKernel kernel, GlobalMemory memory, Launch launch) {
    check(kernel, launch);
    DecodedKernel ready = decoded(kernel);
    Launch.Options options = launch.options();
    GlobalSpace global =
        new GlobalSpace(
            memory,
            variables(kernel.module()),
            ready.memorySlots(),
            ready.globalGranule(),
            options.globalRaces(),
            options.globalTraffic());
    SharedMemory shared =
        new SharedMemory(
            kernel.staticSharedBytes() + launch.sharedBytes(),
            ready.sharedGranule(),
            options.sharedRaces(),
            ready.hasAsyncCopies());
    SplittableRandom random = new SplittableRandom(options.seed());
    Block block = new Block(ready, launch, global, shared, new BlockOrder(), random);
    long blocks = launch.blocks();
    long offset = options.order() == Launch.Order.RANDOM ? random.nextLong(blocks) : 0;
    for (long i = 0; i < blocks; i++) {
      block.run(
          switch (options.order()) {
            case ORDINARY -> i;
            case REVERSED -> blocks - 1 - i;
            case RANDOM -> (i + offset) % blocks;
          });
    }
    long warpInstructions = 0;
    long threadInstructions = 0;
    for (int i = 0; i < block.warps(); i++) {
      warpInstructions += block.warp(i).warpInstructions;
      threadInstructions += block.warp(i).threadInstructions;
    }
    return new LaunchReport(
        blocks, warpInstructions, threadInstructions, global.bytesRead(), global.bytesWritten());
  }

  private DecodedKernel decoded(PtxKernel kernel) {
    synchronized (decoded) {
      DecodedKernel ready = decoded.get(kernel);
      if (ready == null) {
        ready = new Decoder(kernel).decode();
        decoded.put(kernel, ready);
      }
      return ready;
    }
  }

  private ModuleVariables variables(PtxModule module) {
    synchronized (variables) {
      return variables.computeIfAbsent(module, ModuleVariables::of);
    }
  }

  private static void check(PtxKernel kernel, Launch launch) {
    long threads = (long) launch.blockX() * launch.blockY() * launch.blockZ();
    require(
        launch.blockX() >= 1
            && launch.blockY() >= 1
            && launch.blockZ() >= 1
            && launch.blockZ() <= MOST_Z
            && threads <= MOST_THREADS,
        kernel,
        "a block of %d x %d x %d threads; 1 to %d in all, and at most %d in z, are possible"
            .formatted(launch.blockX(), launch.blockY(), launch.blockZ(), MOST_THREADS, MOST_Z));
    require(
        launch.gridX() >= 1
            && launch.gridY() >= 1
            && launch.gridZ() >= 1
            && launch.gridY() <= MOST_BLOCKS_YZ
            && launch.gridZ() <= MOST_BLOCKS_YZ,
        kernel,
        "a grid of %d x %d x %d blocks; at least 1, and at most %d in y and z, are possible"
            .formatted(launch.gridX(), launch.gridY(), launch.gridZ(), MOST_BLOCKS_YZ));
    require(
        kernel.maxThreads() == 0 || threads <= kernel.maxThreads(),
        kernel,
        "a block of %d threads; it was compiled for at most %d"
            .formatted(threads, kernel.maxThreads()));
    if (!kernel.requiredBlock().isEmpty()) {
      require(
          kernel.requiredBlock().get(0) == launch.blockX()
              && kernel.requiredBlock().get(1) == launch.blockY()
              && kernel.requiredBlock().get(2) == launch.blockZ(),
          kernel,
          "another block than the " + kernel.requiredBlock() + " it was compiled for");
    }
    require(
        launch.sharedBytes() >= 0
            && kernel.staticSharedBytes() + (long) launch.sharedBytes() <= MOST_SHARED,
        kernel,
        "%d bytes of dynamic shared memory beside %d static ones; at most %d are possible"
            .formatted(launch.sharedBytes(), kernel.staticSharedBytes(), MOST_SHARED));
    require(
        launch.parameters().byteSize() >= kernel.parameterBytes(),
        kernel,
        "%d bytes of parameters; it takes %d"
            .formatted(launch.parameters().byteSize(), kernel.parameterBytes()));
  }

  private static void require(boolean holds, PtxKernel kernel, String message) {
    if (!holds) {
      throw new SimulatedFault(
          Kind.INVALID_LAUNCH, "launch of %s with %s".formatted(kernel, message));
    }
  }
}
