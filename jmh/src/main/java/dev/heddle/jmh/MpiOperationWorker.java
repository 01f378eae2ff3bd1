package dev.heddle.jmh;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.mpi.MpiWorld;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Our side of {@link MpiComparison}, in each of the processes that {@code mpirun} starts: the same
 * turns, led in the same words, as {@code src/main/c/mpi_operations.c}.
 */
public final class MpiOperationWorker {
  private MpiOperationWorker() {}

  /** Takes turns until the standard input of rank 0 ends. */
  public static void main(String[] arguments) {
    MpiWorld.run(
        RankProgram.onDevice(
            world -> CpuDevice.open("rank" + world.rank(), 1, CpuBackend.BEST),
            MpiOperationWorker::takeTurns));
  }

  private static void takeTurns(Communicator world, CpuDevice device) throws IOException {
    BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    long[] command = next(world, commands);
    while (command[0] >= 0) {
      try (MemoryScope turn = MemoryScope.open()) {
        MpiOperation operation = MpiOperation.values()[(int) command[0]];
        double micros = new Turn(world, device, operation, command[1]).time(command[2]);
        if (world.rank() == 0) {
          System.out.printf(Locale.ROOT, "MICROS %.4f%n", micros);
          System.out.flush();
        }
      }
      command = next(world, commands);
    }
  }

  /** Operation, bytes and count of the next turn, on every rank; operation -1 for the end. */
  private static long[] next(Communicator world, BufferedReader commands) throws IOException {
    long[] command = {-1, 0, 0};
    if (world.rank() == 0) {
      String line = commands.readLine();
      String[] words = line == null ? new String[0] : line.split(" ");
      if (words.length == 3) {
        command[0] = MpiOperation.labelled(words[0]).ordinal();
        command[1] = Long.parseLong(words[1]);
        command[2] = Long.parseLong(words[2]);
      }
    }
    return world.allGather(command)[0];
  }

  /** One operation on arrays of one size. */
  private static final class Turn {
    private final Communicator world;
    private final MpiOperation operation;
    private final NDArray values;
    private final List<NDArray> parts = new ArrayList<>();
    private final NDArray scratch;

    Turn(Communicator world, CpuDevice device, MpiOperation operation, long bytes) {
      this.world = world;
      this.operation = operation;
      int part = Math.toIntExact(bytes / Float.BYTES / world.size());
      float[] own = new float[part * world.size()];
      Arrays.fill(own, world.rank() + 1);
      values = NDArray.of(device, Shape.of(own.length), own);
      scratch = NDArray.of(device, Shape.of(part), new float[part]);
      for (int i = 0; i < world.size(); i++) {
        parts.add(values.slice(0, (long) i * part, (i + 1L) * part));
      }
    }

    /** Microseconds of one operation; of one way, for ping-pong. */
    double time(long count) {
      once();
      check();
      // Zeros, so that sums of sums stay finite.
      values.segment().fill((byte) 0);
      // As the program in C does: processes that have just woken may share a core for some time.
      for (long i = 0; i < count / 2; i++) {
        once();
      }
      world.barrier();
      long start = System.nanoTime();
      for (long i = 0; i < count; i++) {
        once();
      }
      world.barrier();
      double micros = (System.nanoTime() - start) * 1e-3 / count;
      return operation == MpiOperation.PING_PONG ? micros / 2 : micros;
    }

    private void once() {
      int me = world.rank();
      switch (operation) {
        case ALL_REDUCE -> world.allReduce(values, ReduceOp.SUM).await();
        case ALL_GATHER -> world.allGather(parts.get(me), parts).await();
        case REDUCE_SCATTER -> world.reduceScatter(parts, scratch, ReduceOp.SUM).await();
        case PING_PONG -> {
          if (me == 0) {
            world.exchange(List.of(Message.send(1, values))).await();
            world.exchange(List.of(Message.receive(1, values))).await();
          } else if (me == 1) {
            world.exchange(List.of(Message.receive(0, values))).await();
            world.exchange(List.of(Message.send(0, values))).await();
          }
        }
      }
    }

    /** What is measured must be right. */
    private void check() {
      int ranks = world.size();
      float sum = (float) ranks * (ranks + 1) / 2;
      float[] got = (operation == MpiOperation.REDUCE_SCATTER ? scratch : values).toFloats();
      int part = Math.toIntExact(scratch.size());
      for (int i = 0; i < got.length; i++) {
        float wanted =
            switch (operation) {
              case ALL_REDUCE, REDUCE_SCATTER -> sum;
              case ALL_GATHER -> i / part + 1;
              case PING_PONG -> world.rank() < 2 ? 1 : world.rank() + 1;
            };
        if (got[i] != wanted) {
          throw new IllegalStateException(
              operation.label()
                  + ", rank "
                  + world.rank()
                  + ": got "
                  + got[i]
                  + " at "
                  + i
                  + ", wanted "
                  + wanted);
        }
      }
    }
  }
}
