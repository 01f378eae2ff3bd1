package dev.heddle.simulated.simt;

import java.lang.foreign.MemorySegment;

/**
 * How a kernel is launched.
 *
 * @param gridX blocks in x; {@code gridY}, {@code gridZ} alike
 * @param blockX threads of a block in x; {@code blockY}, {@code blockZ} alike
 * @param sharedBytes dynamic shared memory of a block in bytes
 * @param parameters the kernel's parameters, laid out as its {@code PtxParameter}s say
 * @param options how it is executed and watched
 */
public record Launch(
    int gridX,
    int gridY,
    int gridZ,
    int blockX,
    int blockY,
    int blockZ,
    int sharedBytes,
    MemorySegment parameters,
    Options options) {

  /** In which order blocks run, and the warps of a block take turns. */
  public enum Order {
    /** From 0 up, each as far as it gets. */
    ORDINARY,
    /** From the last down, each as far as it gets. */
    REVERSED,
    /** At random, a few instructions at a time. */
    RANDOM
  }

  /**
   * How a launch is executed and watched.
   *
   * @param order of blocks and warps
   * @param seed of {@link Order#RANDOM}
   * @param sharedRaces whether unordered accesses to shared memory are faults
   * @param globalRaces whether unordered accesses to global memory are faults, too; slow
   * @param globalTraffic whether the distinct bytes of device memory that a launch reads and writes
   *     are counted; slow
   * @param instructionLimit how many warp instructions a block may execute before it counts as
   *     running for ever
   */
  public record Options(
      Order order,
      long seed,
      boolean sharedRaces,
      boolean globalRaces,
      boolean globalTraffic,
      long instructionLimit) {
    private static final long USUAL_LIMIT = 4_000_000_000L;

    /** Ordinary order, shared races are faults, global ones are not looked for. */
    public static final Options DEFAULT =
        new Options(Order.ORDINARY, 0, true, false, false, USUAL_LIMIT);

    /** The same in another order. */
    public Options withOrder(Order other, long otherSeed) {
      return new Options(
          other, otherSeed, sharedRaces, globalRaces, globalTraffic, instructionLimit);
    }

    /** The same, looking for races or not. */
    public Options withRaces(boolean shared, boolean global) {
      return new Options(order, seed, shared, global, globalTraffic, instructionLimit);
    }

    /** The same, counting the bytes that launches move or not. */
    public Options withTraffic(boolean counted) {
      return new Options(order, seed, sharedRaces, globalRaces, counted, instructionLimit);
    }

    /** The same with another limit. */
    public Options withInstructionLimit(long limit) {
      return new Options(order, seed, sharedRaces, globalRaces, globalTraffic, limit);
    }
  }

  /** A launch of {@code blocks} blocks of {@code threads} threads, both in x, with the defaults. */
  public static Launch of(int blocks, int threads, int sharedBytes, MemorySegment parameters) {
    return new Launch(blocks, 1, 1, threads, 1, 1, sharedBytes, parameters, Options.DEFAULT);
  }

  /** The same with other options. */
  public Launch with(Options other) {
    return new Launch(gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, parameters, other);
  }

  /** Blocks of the grid. */
  public long blocks() {
    return (long) gridX * gridY * gridZ;
  }

  /** Threads of a block. */
  public int threads() {
    return blockX * blockY * blockZ;
  }
}
