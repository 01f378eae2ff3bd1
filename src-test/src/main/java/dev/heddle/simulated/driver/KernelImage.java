package dev.heddle.simulated.driver;

import dev.heddle.simulated.simt.LaunchReport;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the driver needs of a compiled module: its kernels, and how one is run. */
interface KernelImage {
  /** Makes an image of PTX text, or refuses it with the compiler's log as message. */
  @FunctionalInterface
  interface Compiler {
    KernelImage compile(SimulatedGpu gpu, String ptx);
  }

  /** Where a parameter lies in the parameter bytes. */
  record Parameter(int offset, int byteSize) {}

  /** A kernel's sizes, and its execution on one GPU. */
  interface Kernel {
    String name();

    List<Parameter> parameters();

    int parameterBytes();

    int staticSharedBytes();

    /** Threads in a block at most. */
    int maximumThreads();

    /** Runs all blocks to their end and says what that took; a mistake is a SimulatedFault. */
    LaunchReport run(SimulatedGpu gpu, Launch launch);
  }

  /** A number of blocks or threads in each direction. */
  record Size(int x, int y, int z) {
    boolean isPositive() {
      return x > 0 && y > 0 && z > 0;
    }

    @Override
    public String toString() {
      return x + "x" + y + "x" + z;
    }
  }

  /** A launch: blocks, threads of a block, dynamic shared bytes, and the parameters' bytes. */
  record Launch(Size grid, Size block, int sharedBytes, MemorySegment parameters) {
    @Override
    public String toString() {
      return "<<<" + grid + ", " + block + ", " + sharedBytes + ">>>";
    }
  }

  /** The architecture it was compiled for, such as 75. */
  int target();

  @Nullable Kernel kernel(String name);

  /** Ends the module on that GPU, its variables with it. */
  void unload(SimulatedGpu gpu);
}
