package dev.heddle.simulated.driver;

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

    /** Runs all blocks to their end; a mistake is a SimulatedFault. */
    void run(SimulatedGpu gpu, Launch launch);
  }

  /** A launch: sizes in blocks and threads, dynamic shared bytes, and the parameters' bytes. */
  record Launch(int[] grid, int[] block, int sharedBytes, byte[] parameters) {
    @Override
    public String toString() {
      return "<<<%dx%dx%d, %dx%dx%d, %d>>>"
          .formatted(grid[0], grid[1], grid[2], block[0], block[1], block[2], sharedBytes);
    }
  }

  /** The architecture it was compiled for, such as 75. */
  int target();

  @Nullable Kernel kernel(String name);
}
